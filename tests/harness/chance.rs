//! Chance that can be had again: a story that draws lots shows its seed, and takes one.
//!
//! `WEIR_STORY_SEED` repeats what was drawn (not what the machine did meanwhile); `WEIR_STORY_ROUNDS` makes the same story
//! a campaign of as many rounds as there is time for.

use std::time::Duration;

/// The seed of this run, given or drawn. It is shown when the story fails.
pub(crate) fn seed() -> u64 {
    let seed = number_in("WEIR_STORY_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("WEIR_STORY_SEED={seed}");
    seed
}

/// How many rounds the story shall have, where `usual` are enough for the test command.
pub(crate) fn rounds(usual: u32) -> u32 {
    let asked = number_in("WEIR_STORY_ROUNDS");
    asked.map_or(usual, |asked| u32::try_from(asked).expect("fewer rounds"))
}

fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Sleeps for less than `most_ms`: for moments that are the story's subject, where nothing has to have happened.
pub(crate) fn sleep_some(random: &mut fastrand::Rng, most_ms: u64) {
    std::thread::sleep(Duration::from_millis(random.u64(..most_ms)));
}
