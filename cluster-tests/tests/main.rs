//! Clusters of real processes. One theme a file.

#![allow(missing_docs, clippy::print_stdout)]

mod audit;
mod command_line;
mod crashes;
mod expiry;
mod handover;
mod protocol;
mod quorum;
mod refusals;
mod requests;
mod serving;
mod snapshots;
mod workers;
