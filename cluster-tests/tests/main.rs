//! Clusters of real processes. One theme a file.

#![allow(missing_docs, clippy::print_stdout)]

mod access;
mod affinity;
mod audit;
mod call_replay;
mod command_line;
mod copies;
mod crashes;
mod dependencies;
mod evidence;
mod expiry;
mod handover;
mod journal;
mod once;
mod optimizations;
mod pools;
mod programs;
mod protocol;
mod quorum;
mod recycling;
mod refusals;
mod replay;
mod requests;
mod rolling;
mod serving;
mod sessions;
mod snapshots;
mod storms;
mod streams;
mod telemetry;
mod tools;
mod types;
mod versions;
mod watches;
mod workers;
