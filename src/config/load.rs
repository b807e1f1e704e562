//! Reads the files of a configuration: the main one, and those that its `include` patterns find.
//!
//! A file that cannot be read or parsed is a fault of its own and does not keep the others from being read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::file::Typed;
use super::notice::Findings;
use super::reader::Pass;
use super::source::{At, Place, cover, cover_unparsed};
use crate::limits::{CONFIG_FILE_BYTES_MAX, CONFIG_FILES_MAX};

/// Why a file's text could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The operating system's reason.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A device or directory could be read for ever, or never.
    #[error("is no regular file")]
    NoFile,
    /// Longer than [`CONFIG_FILE_BYTES_MAX`].
    #[error("is longer than {} MiB", CONFIG_FILE_BYTES_MAX >> 20)]
    TooLong,
    /// TOML is UTF-8.
    #[error("is not UTF-8: line {line} has a byte that cannot be there")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
}

impl LoadError {
    /// What a person can do when it is the main file.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io(error) if error.kind() == ErrorKind::NotFound => {
                Some("`weir config` prints an example to start from")
            }
            // A file with a password is root's and the daemon's alone.
            Self::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                Some("run this as root, or as the daemon's user")
            }
            _ => None,
        }
    }
}

/// The text of a file: a regular one, in UTF-8, of bounded length.
pub(super) fn text(path: &Path) -> Result<String, LoadError> {
    // Asked before it is opened: opening a pipe waits for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(LoadError::NoFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CONFIG_FILE_BYTES_MAX {
        return Err(LoadError::TooLong);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        LoadError::NotUtf8 { line: valid.iter().filter(|byte| **byte == b'\n').count() + 1 }
    })
}

/// Reads the main file's text and everything it includes. `None` when the main file is no TOML: then nothing is known of
/// it, but what it seems to include is looked at all the same.
pub(super) fn load(path: &Path, text: &str, findings: &mut Findings) -> Option<Typed> {
    let mut typed = Typed::default();
    let mut pass = Pass::new(findings);
    let main = parse(path, text, pass.findings);
    let patterns = if main.is_whole {
        typed.read_main(&mut pass, main.file, &main.document)
    } else {
        let mut discarded = Findings::default();
        Typed::default().read_main(&mut Pass::new(&mut discarded), main.file, &main.document)
    };
    let (files, all_found) = included(path, &patterns, pass.findings);
    typed.is_incomplete |= !all_found;
    for (path, found_by) in files {
        match self::text(&path) {
            Ok(text) => {
                let parsed = parse(&path, &text, pass.findings);
                if parsed.is_whole {
                    typed.read_included(&mut pass, parsed.file, &parsed.document);
                }
                typed.is_incomplete |= !parsed.is_whole;
            }
            Err(error) => {
                typed.is_incomplete = true;
                pass.findings.fault(&found_by, format!("{}: {error}", path.display()));
            }
        }
    }
    pass.finish();
    main.is_whole.then_some(typed)
}

struct Parsed<'t> {
    file: usize,
    document: DeTable<'t>,
    /// Without a syntax error; otherwise the document is what could be made of the text.
    is_whole: bool,
}

fn parse<'t>(path: &Path, text: &'t str, findings: &mut Findings) -> Parsed<'t> {
    let file = findings.sources.add(path);
    let (document, errors) = DeTable::parse_recoverable(text);
    let document = document.into_inner();
    let is_whole = errors.is_empty();
    findings.sources.show(file, if is_whole { cover(text, &document) } else { cover_unparsed(text) });
    for error in errors {
        let span = error.span().unwrap_or_default();
        findings.fault(
            &Place { file, start: span.start, end: span.end },
            format!("no TOML: {}", error.message()),
        );
    }
    Parsed { file, document, is_whole }
}

/// The files that the patterns find, each once: pattern by pattern, in the alphabetical order that `glob` gives them. And
/// whether these are all.
fn included(main: &Path, patterns: &[At<String>], findings: &mut Findings) -> (Vec<(PathBuf, Place)>, bool) {
    let mut seen: HashSet<PathBuf> = HashSet::from([identity(main)]);
    let (mut files, mut all_found) = (Vec::new(), true);
    for pattern in patterns {
        let full = match main.parent() {
            Some(directory) if !Path::new(&pattern.value).is_absolute() => {
                let directory = glob::Pattern::escape(&directory.to_string_lossy());
                Path::new(&directory).join(&pattern.value).to_string_lossy().into_owned()
            }
            _ => pattern.value.clone(),
        };
        let paths = match glob::glob(&full) {
            Ok(paths) => paths,
            Err(error) => {
                findings.fault(&pattern.place, format!("no pattern for files: {}", error.msg));
                all_found = false;
                continue;
            }
        };
        let mut count = 0;
        for path in paths {
            count += 1;
            match path {
                Ok(path) if seen.insert(identity(&path)) => files.push((path, pattern.place.clone())),
                Ok(_) => {}
                Err(error) => {
                    all_found = false;
                    findings.fault(&pattern.place, format!("{}: {}", error.path().display(), error.error()));
                }
            }
            if files.len() > CONFIG_FILES_MAX {
                files.truncate(CONFIG_FILES_MAX);
                findings.fault(&pattern.place, format!("includes more than {CONFIG_FILES_MAX} files"));
                return (files, false);
            }
        }
        if count == 0 {
            let hint = format!("it stands for {full}");
            findings.warn(&pattern.place, "no file matches this pattern").hint(hint);
        }
    }
    (files, all_found)
}

/// What makes two paths the same file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
