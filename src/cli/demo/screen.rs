//! The terminal: draws the latest snapshot, and makes orders of keys.
//!
//! A thread of its own, because a terminal's keys can only be waited for by blocking. The terminal is restored when the
//! thread ends, however it ends, and by a panic anywhere in the process, after which the demo ends too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::{mpsc, watch};

use super::snapshot::Snapshot;
use super::stage::Order;
use super::view::{self, Choice};

/// How long a key is waited for before a new snapshot is looked for.
const KEY_WAIT: Duration = Duration::from_millis(50);
/// Keys that may wait; further ones are lost, as from a keyboard that nobody minds.
const ORDERS_MAX: usize = 16;
/// Rows that a page key moves by.
const PAGE: u16 = 10;

/// The screen's thread.
pub(super) struct Screen {
    snapshots: watch::Sender<Arc<Snapshot>>,
    orders: mpsc::Receiver<Order>,
    thread: JoinHandle<io::Result<()>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub(super) fn open(first: Snapshot) -> io::Result<Self> {
        let (snapshots, latest) = watch::channel(Arc::new(first));
        let (keys, orders) = mpsc::channel(ORDERS_MAX);
        let terminal = ratatui::try_init()?;
        let terminal = Restored { terminal, panicked: note_panics() };
        let thread = std::thread::Builder::new().name("screen".into());
        let thread = thread.spawn(move || turn(terminal, latest, &keys))?;
        Ok(Self { snapshots, orders, thread })
    }

    /// Shows this from now on.
    pub(super) fn show(&self, snapshot: Snapshot) {
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    /// The next order; `None` when the screen is gone.
    pub(super) async fn order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// What had ended the screen before.
    pub(super) fn close(self) -> io::Result<()> {
        // The thread ends when nobody can show it anything any more.
        drop(self.snapshots);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the view has panicked")))
    }
}

/// The terminal, given back when this goes.
struct Restored {
    terminal: DefaultTerminal,
    /// Then it has been given back already, and doing so twice would put the cursor on the panic's own message.
    panicked: Arc<AtomicBool>,
}

impl Drop for Restored {
    fn drop(&mut self) {
        if !self.panicked.load(Ordering::SeqCst) {
            ratatui::restore();
        }
    }
}

/// Whether something has panicked. The terminal has been restored by then, and must not be drawn on any more.
fn note_panics() -> Arc<AtomicBool> {
    let panicked = Arc::<AtomicBool>::default();
    let (noted, before) = (Arc::clone(&panicked), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        noted.store(true, Ordering::SeqCst);
        before(panic);
    }));
    panicked
}

/// The thread's life: draw, wait for a key, until the other end is gone.
fn turn(
    mut terminal: Restored,
    mut latest: watch::Receiver<Arc<Snapshot>>,
    orders: &mpsc::Sender<Order>,
) -> io::Result<()> {
    let mut choice = Choice::default();
    while latest.has_changed().is_ok() {
        if terminal.panicked.load(Ordering::SeqCst) {
            return Err(io::Error::other("a part of the demo has panicked"));
        }
        let snapshot = Arc::clone(&latest.borrow_and_update());
        terminal.terminal.draw(|frame| view::draw(frame, &snapshot, &mut choice))?;
        if !event::poll(KEY_WAIT)? {
            continue;
        }
        // All that is there, so that a key held down does not wait for as many drawings.
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && let Some(order) = order(key, &snapshot, &mut choice)
            {
                let _ = orders.try_send(order);
            }
        }
    }
    Ok(())
}

/// What a key means.
fn order(key: KeyEvent, snapshot: &Snapshot, choice: &mut Choice) -> Option<Order> {
    let chosen = || snapshot.meters().nth(choice.index());
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Some(Order::Quit),
        // A NUL from what is no keyboard (`script` without input sends one) is Ctrl-Space, and must not pull the plug.
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::CONTROL) => {}
        KeyCode::Char('q') | KeyCode::Esc => return Some(Order::Quit),
        KeyCode::Char('p' | ' ') => return Some(Order::TurnPlug),
        KeyCode::Char('m') => return chosen().map(|(_, meter)| Order::TurnMeter(meter.id.clone())),
        KeyCode::Char('l') => return chosen().map(|(line, _)| Order::TurnLine(line.name.clone())),
        KeyCode::Up | KeyCode::Char('k') => choice.up(1),
        KeyCode::Down | KeyCode::Char('j') => choice.down(1),
        KeyCode::PageUp => choice.up(PAGE),
        KeyCode::PageDown => choice.down(PAGE),
        KeyCode::Home => choice.up(u16::MAX),
        KeyCode::End => choice.down(u16::MAX),
        _ => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::snapshot;
    use super::*;

    fn press(key: KeyCode, choice: &mut Choice) -> Option<Order> {
        order(KeyEvent::new(key, KeyModifiers::NONE), &snapshot(), choice)
    }

    #[test]
    fn keys_turn_the_plug_the_chosen_meter_and_its_line() {
        let mut choice = Choice::default();
        assert_eq!(press(KeyCode::Char('p'), &mut choice), Some(Order::TurnPlug));
        assert_eq!(press(KeyCode::Char('m'), &mut choice), Some(Order::TurnMeter("A-01".into())));
        for _ in 0..14 {
            assert_eq!(press(KeyCode::Down, &mut choice), None);
        }
        assert_eq!(press(KeyCode::Char('m'), &mut choice), Some(Order::TurnMeter("B-01".into())));
        assert_eq!(press(KeyCode::Char('l'), &mut choice), Some(Order::TurnLine("riser-2".into())));
    }

    #[test]
    fn only_control_c_of_the_control_keys_does_anything() {
        let mut choice = Choice::default();
        for key in [' ', 'p', 'm', 'l', 'q', 'j'].map(KeyCode::Char) {
            let key = KeyEvent::new(key, KeyModifiers::CONTROL);
            assert_eq!(order(key, &snapshot(), &mut choice), None);
            assert_eq!(choice.index(), 0);
        }
    }

    #[test]
    fn quitting_works_in_every_way_people_try() {
        let mut choice = Choice::default();
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(order(control_c, &snapshot(), &mut choice), Some(Order::Quit));
        assert_eq!(press(KeyCode::Char('c'), &mut choice), None);
        for key in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(key, &mut choice), Some(Order::Quit));
        }
    }
}
