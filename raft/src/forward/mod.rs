//! From a node that does not lead to the one that does.

mod client;
mod read_index;
mod server;

pub(crate) use client::Forwarder;
pub(crate) use read_index::ReadIndexes;
pub(crate) use server::ForwardService;
