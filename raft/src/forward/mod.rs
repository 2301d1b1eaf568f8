//! From a node that does not lead to the one that does.

mod client;
mod server;

pub(crate) use client::Forwarder;
pub(crate) use server::ForwardService;
