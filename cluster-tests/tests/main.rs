//! Clusters of real processes. One theme a file.

#![allow(missing_docs, clippy::print_stdout)]

mod access;
mod audit;
mod command_line;
mod copies;
mod crashes;
mod dependencies;
mod expiry;
mod handover;
mod once;
mod optimizations;
mod programs;
mod protocol;
mod quorum;
mod refusals;
mod replay;
mod requests;
mod serving;
mod sessions;
mod snapshots;
mod telemetry;
mod tools;
mod types;
mod versions;
mod watches;
mod workers;
