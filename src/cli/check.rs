//! `weir check`: the configuration's faults, and what the lines will have to carry.

use std::path::Path;

use super::{Exit, load};

pub(super) fn check(path: &Path) -> Exit {
    match load(path) {
        Ok(config) => {
            print!("{}", config.forecast);
            let meters: usize = config.lines.iter().map(|line| line.meters.len()).sum();
            println!("{}: good, {} lines, {meters} meters", path.display(), config.lines.len());
            Exit::Ok
        }
        Err(exit) => exit,
    }
}
