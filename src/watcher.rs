//! Ends the process when one of its loops is stuck.
//!
//! A panic in one of sled's threads can leave a call or a drop that never returns, and a sync on a dying card may not either.
//! The thread that is in it cannot be helped from inside; a fresh process can, and its start finds everything whole that
//! was told. Under systemd the watchdog does the same a minute later. Elsewhere there is none.
//!
//! A thread of its own, not a task: what is stuck may be the runtime. It takes no lock and asks nobody.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::limits::{WATCHER_LAST_WORDS_WAIT, WATCHER_LOOKS_MAX, WATCHER_TURN};
use crate::pulse::{Looks, Pulse};
use crate::sys::end_process;

/// From now on the process ends with this code when one of these loops has not turned for
/// [`WATCHER_LOOKS_MAX`] times [`WATCHER_TURN`].
///
/// # Errors
/// When the machine has no thread to give.
pub fn start(pulses: Vec<Pulse>, exit_code: u8) -> io::Result<()> {
    let end = move |stuck: Pulse| {
        // The log may be what is stuck.
        let (said, wait) = mpsc::channel();
        let words = move || {
            tracing::error!(r#loop = stuck.name(), age = ?stuck.age(), exit_code, "stuck, the process ends");
            said.send(())
        };
        if thread::Builder::new().spawn(words).is_ok() {
            let _ = wait.recv_timeout(WATCHER_LAST_WORDS_WAIT);
        }
        end_process(exit_code)
    };
    let watch = move || end(watch(pulses, WATCHER_TURN, WATCHER_LOOKS_MAX));
    thread::Builder::new().name("watcher".into()).spawn(watch).map(drop)
}

/// Returns when a loop is stuck, with its pulse.
pub(crate) fn watch(pulses: Vec<Pulse>, every: Duration, looks_max: u32) -> Pulse {
    let mut all: Vec<Looks> = pulses.into_iter().map(Looks::at).collect();
    loop {
        thread::sleep(every);
        // Each is looked at in each turn, or the looks would not count the same time.
        let in_vain = all.iter_mut().map(|looks| (looks.look(), &*looks));
        if let Some((_, stuck)) =
            in_vain.max_by_key(|(count, _)| *count).filter(|(count, _)| *count >= looks_max)
        {
            return stuck.pulse().clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_that_stands_still_is_named_and_the_ones_that_turn_are_not() {
        let (turning, stuck) = (Pulse::new("turning"), Pulse::new("stuck"));
        let (stop, stopped) = mpsc::channel::<()>();
        let turns = {
            let turning = turning.clone();
            thread::spawn(move || {
                while stopped.recv_timeout(Duration::from_millis(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    turning.beat();
                }
            })
        };
        let found = watch(vec![turning, stuck], Duration::from_millis(20), 25);
        assert_eq!(found.name(), "stuck");
        drop(stop);
        turns.join().unwrap();
    }
}
