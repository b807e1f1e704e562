//! The ledger's file: two slots of a fixed size, written in turn.
//!
//! A power cut tears at most the slot that is being written, and nobody has been told of that one; the other is whole.
//! The file has its full size from the start and is written in place, so that an outage can be settled also on a full
//! disk, where a new file could not be made and readings would wait for ever for the space that they take themselves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::ledger::Ledger;
use crate::limits::BOOTS_SLOT_BYTES;

/// What is kept there. A file that cannot be used is said, set aside, and taken for none.
pub(super) fn read(path: &Path) -> Ledger {
    let bytes = match contents(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ledger::default(),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the boots' times cannot be read");
            set_aside(path);
            return Ledger::default();
        }
    };
    let slots = bytes.chunks(BOOTS_SLOT_BYTES).filter_map(Ledger::decode);
    match slots.max_by_key(Ledger::version) {
        Some(ledger) => ledger,
        // Made, and cut off from power before it was first written.
        None if bytes.len() == 2 * BOOTS_SLOT_BYTES && bytes.iter().all(|byte| *byte == 0) => {
            Ledger::default()
        }
        None => {
            let bytes = bytes.len();
            tracing::error!(path = %path.display(), bytes, "the boots' times are damaged or of a newer program");
            set_aside(path);
            Ledger::default()
        }
    }
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Whatever else has been put there must not fill the memory.
    let bytes_max = u64::try_from(2 * BOOTS_SLOT_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn set_aside(path: &Path) {
    let aside = path.with_extension("damaged");
    if let Err(error) = fs::rename(path, &aside) {
        tracing::error!(path = %path.display(), %error, "cannot be set aside");
    }
}

/// Writes the ledger into the slot that its version belongs to, durably.
pub(super) fn write(path: &Path, ledger: &Ledger) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) if file.metadata()?.len() == size() => file,
        Ok(_) => make(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(error),
    };
    let offset = if ledger.version().is_multiple_of(2) { 0 } else { size() / 2 };
    file.write_all_at(&ledger.encode(), offset)?;
    file.sync_data()
}

fn size() -> u64 {
    2 * u64::try_from(BOOTS_SLOT_BYTES).unwrap_or_default()
}

/// The file with room for both slots, durably.
fn make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(&[0; 2 * BOOTS_SLOT_BYTES], 0)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())?;
    Ok(file)
}
