//! What the block device under a directory has written, as the kernel counts it.
//!
//! The device's own count is the only one that holds the file system's journal and metadata. `write_bytes` of
//! `/proc/self/io` counts whole folios of the page cache, up to 2 MiB for a change of 24 bytes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// The unit of the kernel's count, whatever the device's own.
const SECTOR_BYTES: u64 = 512;

/// Bytes written since the machine's boot; `None` where no block device of its own is behind the directory.
pub(super) fn written_bytes(directory: &Path) -> Option<u64> {
    let device = fs::metadata(directory).ok()?.dev();
    let stat = fs::read_to_string(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device))).ok()?;
    sectors_written(&stat)?.checked_mul(SECTOR_BYTES)
}

/// The seventh number (Linux, `Documentation/block/stat.rst`).
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_written_are_the_seventh_number() {
        let stat = "  446216   784926  9550688  4382310  1 2 7770136 3 0 2 8 0 0 0 0 0 0\n";
        assert_eq!(sectors_written(stat), Some(7_770_136));
        assert_eq!(sectors_written(""), None);
    }

    #[test]
    fn a_file_system_without_a_device_has_no_count() {
        assert_eq!(written_bytes(Path::new("/proc")), None);
        assert_eq!(written_bytes(Path::new("/nowhere")), None);
    }
}
