//! A line.
mod budget;
mod config;
mod exchange;
mod port;
mod health;
mod queue;
mod schedule;
pub use config::{Config, Meter, Port};
pub use health::MeterState;
