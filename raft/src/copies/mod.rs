//! What nodes show each other of the log and the state: heads of the tree to compare, snapshots and segments to copy.

mod client;
mod server;

pub use client::{CopyClient, CopyError, TreeHead};
pub(crate) use server::CopiesService;
