//! Looking at a journal without writing it, also beside a running daemon: does the chain hold, and what does it say?

use std::io;
use std::path::{Path, PathBuf};

use super::entry::{Break, Digest, Entry, Line, Why};
use super::files::{CURRENT, End, each_line, older};

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Audit {
    /// Files, oldest first.
    pub files: u64,
    /// Whole lines.
    pub lines: u64,
    /// The first and the last sequence.
    pub sequences: Option<[u64; 2]>,
    /// How often the journal was recovered from damage.
    pub recoveries: u64,
    /// The last line ends in the middle: it is being written, or a power cut tore it.
    pub is_torn: bool,
    /// Where the chain does not hold, by file and line.
    pub breaks: Vec<String>,
}

/// Why a journal could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is none.
    #[error("{0}: no journal of commands")]
    None(PathBuf),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Verifies the chain over all files that are kept.
///
/// # Errors
/// See [`AuditError`]. A chain that does not hold is none: see [`Audit::breaks`].
pub fn audit(directory: &Path) -> Result<Audit, AuditError> {
    let mut audit =
        Audit { files: 0, lines: 0, sequences: None, recoveries: 0, is_torn: false, breaks: Vec::new() };
    let mut before: Option<Digest> = None;
    for path in files(directory)? {
        audit.files += 1;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut here = 0_u64;
        let end = walk(&path, |result| {
            here += 1;
            match result {
                Ok((line, hash)) => {
                    if let Entry::Checkpoint(checkpoint) = &line.entry {
                        audit.recoveries += u64::from(checkpoint.why == Why::Recovered);
                        let is_chained = before.is_none_or(|before| before == checkpoint.chained_to);
                        if checkpoint.why == Why::Rotated && !is_chained {
                            audit.breaks.push(format!("{name}, line {here}: not chained to the file before"));
                        }
                    }
                    let first = audit.sequences.map_or(line.sequence, |[first, _]| first);
                    audit.sequences = Some([first, line.sequence]);
                    audit.lines += 1;
                    before = Some(hash);
                }
                Err(why) => audit.breaks.push(format!("{name}, line {here}: {why}")),
            }
        })?;
        audit.is_torn |= matches!(end, End::Torn);
    }
    Ok(audit)
}

/// Every whole line of all files, oldest first.
///
/// # Errors
/// See [`AuditError`].
pub fn lines(directory: &Path, mut show: impl FnMut(&Line)) -> Result<(), AuditError> {
    for path in files(directory)? {
        walk(&path, |result| {
            if let Ok((line, _)) = result {
                show(line);
            }
        })?;
    }
    Ok(())
}

/// Every line about one command, in order.
///
/// # Errors
/// See [`AuditError`].
pub fn history(directory: &Path, id: &str) -> Result<Vec<Line>, AuditError> {
    let mut history = Vec::new();
    lines(directory, |line| {
        if line.entry.command_id() == Some(id) {
            history.push(line.clone());
        }
    })?;
    Ok(history)
}

impl Entry {
    /// The command that it is about.
    pub fn command_id(&self) -> Option<&str> {
        match self {
            Self::Accepted { command, .. } | Self::Rejected { command, .. } => Some(&command.id),
            Self::Started { id }
            | Self::Step { id, .. }
            | Self::Finished { id, .. }
            | Self::Duplicate { id, .. } => Some(id),
            Self::Checkpoint(_)
            | Self::Refused { .. }
            | Self::Positions { .. }
            | Self::ClockTrusted
            | Self::DamageTold => None,
        }
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let io_error = |source| AuditError::Io { path: directory.to_owned(), source };
    let mut files = match older(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(io_error)?,
    };
    let current = directory.join(CURRENT);
    if current.try_exists().map_err(io_error)? {
        files.push(current);
    }
    if files.is_empty() { Err(AuditError::None(directory.to_owned())) } else { Ok(files) }
}

fn walk(path: &Path, mut show: impl FnMut(Result<(&Line, Digest), &Break>)) -> Result<End, AuditError> {
    let end = each_line(path, |result| show(result.map(|(line, hash, _)| (line, hash))));
    let io_error = |source| AuditError::Io { path: path.to_owned(), source };
    // One that was rotated away between two looks has nothing to show.
    Ok(end.map_err(io_error)?.unwrap_or(End::Whole))
}
