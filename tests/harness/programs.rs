//! Programs that nobody here wrote and that may be missing: found, or [`NotRun`] with what to install.

use std::env;
use std::path::{Path, PathBuf};

use super::not_run::NotRun;

/// Where `target/tmp` is: scratch space and logs of the test run.
pub(crate) fn target_tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Looks for what `scripts/test` fetched: where `variable` points, else in the target directory in use, else in
/// the repository's own `target/`.
pub(crate) fn fetched(variable: &str, below_target: &str) -> Vec<PathBuf> {
    if let Some(told) = env::var_os(variable) {
        return vec![told.into()];
    }
    let in_use = target_tmp().parent().unwrap_or(target_tmp());
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    vec![in_use.join(below_target), own.join(below_target)]
}

/// The program of this name on the `PATH`. `package` is Debian's name for what brings it.
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf, NotRun> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| NotRun::because(format!("no {name} here; Debian package {package}")))
}

/// A Python that has pymodbus and pyserial, from `WEIR_PYTHON` or `target/venv`.
pub(crate) fn python_with_pymodbus() -> Result<PathBuf, NotRun> {
    fetched("WEIR_PYTHON", "venv/bin/python")
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| NotRun::because("no target/venv with pymodbus; scripts/test makes it"))
}
