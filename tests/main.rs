//! The daemon from outside: one story a file, all in one binary.
//!
//! A story uses the `weir` program, real ptys and Apache Kafka, and nothing of the daemon's insides but its limits and
//! the file of its clock's floor. What it needs for that is in [`harness`]. A story that measures time or cuts power goes into a `mod alone`: such tests
//! are run after the others and one at a time (`scripts/test`).

#[cfg(test)]
mod harness;

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod commands_challenge;
#[cfg(test)]
mod commands_flushed;
#[cfg(test)]
mod commands_inbox;
#[cfg(test)]
mod commands_interrupted;
#[cfg(test)]
mod commands_mbus;
#[cfg(test)]
mod commands_modbus;
#[cfg(test)]
mod commands_travel;
#[cfg(test)]
mod control_socket;
#[cfg(feature = "demo")]
#[cfg(test)]
mod demo;
#[cfg(test)]
mod flush_trace;
#[cfg(test)]
mod foreign_programs;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod kafka_broker;
#[cfg(test)]
mod kill_nine;
#[cfg(test)]
mod lent_line;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod outbox_tools;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod refusing_broker;
#[cfg(test)]
mod searched_line;
#[cfg(test)]
mod service;
#[cfg(test)]
mod started_programs;
#[cfg(test)]
mod stuck_store;
#[cfg(test)]
mod systemd_unit;
#[cfg(feature = "tls")]
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traced_line;
#[cfg(test)]
mod troubled_line;
