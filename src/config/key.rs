//! The keys of meters that encrypt. Each lies in a file of its own, which only the daemon may read; nothing of its contents
//! is ever shown.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use weir_mbus::Key;

use super::load;
use super::notice::Findings;
use super::source::{At, holds_key};

/// systemd's directory of the service's credentials (`LoadCredential=`), as it is written in front of a file's name.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Whoever is neither the file's owner nor in its group may read it.
const OTHERS_MAY_READ: u32 = 0o004;

/// The key in the file that a meter names. `None` with a fault, or with a warning where it cannot be looked at from here.
pub(super) fn key(typed: &At<String>, findings: &mut Findings) -> Option<Key> {
    if holds_key(&typed.value) {
        let hint = "write the key into a file that only the daemon may read, and its path here";
        findings.fault(&typed.place, "`key_file` is the path of a file, and not the key itself").hint(hint);
        return None;
    }
    let path = match place(typed, std::env::var_os(CREDENTIALS), findings) {
        Ok(path) => path,
        Err(()) => {
            let message = format!("${CREDENTIALS} is not set here, so the key is not known");
            let hint =
                "systemd sets it for the service; without it the meter's encrypted records are refused";
            findings.warn(&typed.place, message).hint(hint);
            return None;
        }
    };
    match read(&path) {
        Ok((key, is_open)) => {
            if is_open {
                let message = format!("{}: everybody on this machine may read the key", path.display());
                findings.warn(&typed.place, message).hint("chown root:weir and chmod 0640");
            }
            Some(key)
        }
        Err(why) => {
            findings.fault(&typed.place, format!("`key_file`: {}: {why}", path.display()));
            None
        }
    }
}

/// The key in this file, for commands that need one without a configuration.
///
/// # Errors
/// Why there is none, in words for a person; never what stands in the file.
pub fn mbus_key(path: &Path) -> Result<Key, String> {
    let (key, _) = read(path).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(key)
}

/// Where the file lies. An error when that is in a directory that is not there.
fn place(typed: &At<String>, credentials: Option<OsString>, findings: &Findings) -> Result<PathBuf, ()> {
    let name = typed.value.strip_prefix('$').and_then(|rest| rest.strip_prefix(CREDENTIALS));
    match name.and_then(|rest| rest.strip_prefix('/')) {
        Some(name) => credentials.map(|directory| Path::new(&directory).join(name)).ok_or(()),
        None => Ok(findings.sources.resolve(typed)),
    }
}

/// The key, and whether everybody may read it.
fn read(path: &Path) -> Result<(Key, bool), String> {
    let text = load::text(path).map_err(|error| error.to_string())?;
    let key = text.parse::<Key>().map_err(|error| error.to_string())?;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
    Ok((key, mode & OTHERS_MAY_READ != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Place;

    #[test]
    fn a_path_starts_at_its_file_and_a_credential_in_systemds_directory() {
        let mut findings = Findings::default();
        let file = findings.sources.add(Path::new("/etc/weir/weir.toml"));
        let at = |value: &str| At { value: value.into(), place: Place::top_of(file) };
        let place = |value: &str, credentials: Option<&str>| {
            place(&at(value), credentials.map(OsString::from), &findings)
        };
        assert_eq!(place("keys/a", None), Ok("/etc/weir/keys/a".into()));
        assert_eq!(place("/k", Some("/run/c")), Ok("/k".into()));
        assert_eq!(place("$CREDENTIALS_DIRECTORY/a", Some("/run/c")), Ok("/run/c/a".into()));
        assert_eq!(place("$CREDENTIALS_DIRECTORY/a", None), Err(()));
        assert_eq!(
            place("$CREDENTIALS_DIRECTORYX/a", Some("/run/c")),
            Ok("/etc/weir/$CREDENTIALS_DIRECTORYX/a".into())
        );
    }
}
