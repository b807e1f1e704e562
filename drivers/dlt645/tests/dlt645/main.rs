//! The driver from outside: published frames, whatever else a line may carry, and whole exchanges on a scripted line.

#![cfg(test)]

mod meter;
mod polls;
mod properties;
mod recognising;
mod relay;
mod worked_frames;
