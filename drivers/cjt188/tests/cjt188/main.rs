//! The driver from outside: published frames, whatever else a line may carry, and whole polls on a scripted line.

#![cfg(test)]

mod commands;
mod history;
mod meter;
mod orders;
mod polls;
mod presence;
mod properties;
mod recognising;
mod worked_frames;
