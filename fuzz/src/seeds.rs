//! Writes what every harness starts from: `seeds FOLDER` makes `FOLDER/<target>/seed-<n>`.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder: PathBuf =
        env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?.into();
    for target in weir_fuzz::TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
