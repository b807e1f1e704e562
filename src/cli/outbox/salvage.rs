//! `weir outbox salvage`: every whole record of whatever is left of an outbox.

use std::path::Path;

use weir_wire::stored::Record;

use super::Lines;
use crate::cli::{Exit, Failure, start_failed};
use crate::outbox::inspect::{self, Remains, Salvage};

pub(super) fn salvage(directory: &Path, gateway: &str) -> Result<Exit, Failure> {
    let remains = Remains::take(directory).map_err(start_failed)?;
    let mut lines = Lines::new();
    let mut foreign = 0_u64;
    let outcome = inspect::salvage(&remains, gateway, |found| match Record::decode(&found.bytes) {
        Ok(record) => lines.tell(&record.to_json(&found.id, gateway)),
        Err(error) => {
            eprintln!("weir: {}: {error}", found.id);
            foreign += 1;
            Ok(())
        }
    });
    let Some(Salvage { segments, records }) = lines.end(outcome)? else { return Ok(Exit::Ok) };
    eprintln!("{} records in {segments} segments", records - foreign);
    Ok(if records > 0 && foreign == 0 { Exit::Ok } else { Exit::Data })
}
