//! The Raft group: openraft over our stores and our network, behind one handle.
//!
//! Only this crate names openraft. [`Group`] proposes commands from any node, hands out read barriers,
//! serves the other nodes, and tells how the group stands.

mod applied;
mod clock;
mod convert;
mod copies;
mod error;
mod exchange;
mod expiry;
mod forward;
mod group;
mod intake;
mod leadership;
mod log;
mod network;
mod options;
mod parts;
mod promised;
mod proposer;
mod queue;
mod reads;
mod server;
mod state;
mod status;
mod types;

pub use applied::{AppliedIndex, Following, Stopped};
pub use clock::wall_clock_ms;
pub use copies::{CopyClient, CopyError, TreeHead};
pub use error::{ProposeError, Proposed, ReadError};
pub use group::{Group, StartError, Stores};
pub use log::Log;
pub use options::RaftOptions;
pub use reads::{Barrier, Consistency};
pub use state::State;
pub use status::{GroupStatus, MemberStatus, Role};
pub use types::{Applied, EncodedProposal, TypeConfig};

#[cfg(test)]
mod tests;
