//! The local stop switch: while a file lies in the commands' directory, no command that writes is accepted or started;
//! reading goes on.
//!
//! A file, so that it holds over restarts, works without the daemon, and can be set by anything that can write one. Where
//! nobody can tell whether it is there, it counts as there.

use std::io;
use std::path::{Path, PathBuf};

/// The name of the file; what it says is for people.
const FILE: &str = "stopped";

/// The switch of one gateway.
#[derive(Clone, Debug)]
pub struct StopSwitch(PathBuf);

impl StopSwitch {
    /// The switch in this directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self(directory.join(FILE))
    }

    /// Whether commands are stopped.
    pub fn is_set(&self) -> bool {
        self.0.try_exists().unwrap_or(true)
    }

    /// Stops commands. What this says is kept for people.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, why: &str) -> io::Result<()> {
        std::fs::write(&self.0, format!("{why}\n"))?;
        std::fs::File::open(&self.0)?.sync_all()?;
        // The name has to outlive a power cut as well.
        self.0.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
    }

    /// Lets them go on. `false` when they were not stopped.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn clear(&self) -> io::Result<bool> {
        match std::fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_holds_until_it_is_cleared_and_where_it_cannot_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let switch = StopSwitch::in_directory(folder.path());
        assert!(!switch.is_set());
        switch.set("works on the main").unwrap();
        assert!(switch.is_set());
        assert!(switch.clear().unwrap());
        assert!(!switch.clear().unwrap());
        assert!(!switch.is_set());
        // A directory that is none.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(StopSwitch::in_directory(&file).is_set());
    }
}
