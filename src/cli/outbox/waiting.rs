//! `weir outbox export`: what waits, as it would be sent.

use std::io;

use super::{Lines, hold};
use crate::boots::Boots;
use crate::cli::{Exit, Failure};
use crate::config::Checked;
use crate::id::Lane;
use crate::outbox::inspect;
use crate::uplink::Message;

pub(super) fn export(config: &Checked, lane: Lane) -> Result<Exit, Failure> {
    let held = hold(config)?;
    let boots = Boots::open(&config.outbox.directory);
    let mut lines = Lines::new();
    let (mut told, mut unsendable) = (0_u64, 0_u64);
    let outcome = inspect::waiting(&held, lane, |stored| {
        match Message::from_stored(&stored, &config.gateway.id, &boots) {
            Ok(message) => lines.tell(&message.payload)?,
            Err(error) => {
                eprintln!("weir: {}: {error}", stored.name.id(&config.gateway.id));
                unsendable += 1;
            }
        }
        told += 1;
        io::Result::Ok(())
    });
    if lines.end(outcome)?.is_some() {
        eprintln!("{} records wait in {lane}", told);
    }
    Ok(if unsendable == 0 { Exit::Ok } else { Exit::Data })
}
