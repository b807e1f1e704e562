//! `weir check`: the configuration's faults, and what the lines will have to carry.

use std::path::Path;

use super::{Exit, load, tell};

pub(super) fn check(path: &Path) -> Exit {
    match load(path) {
        Ok(config) => {
            let meters: usize = config.lines.iter().map(|line| line.meters.len()).sum();
            let (file, lines) = (path.display(), config.lines.len());
            tell(&format!("{}{file}: good, {lines} lines, {meters} meters\n", config.forecast))
        }
        Err(exit) => exit,
    }
}
