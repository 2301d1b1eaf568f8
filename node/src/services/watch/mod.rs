//! Watches of variables. What changes is read from the event log once for all watches of a node
//! ([`hub`]), and each watch ([`follow`]) sends it on: from the log as far as it is behind, then as it comes.

mod change;
mod follow;
mod hub;
mod scope;

pub(super) use follow::watch;
pub(super) use hub::Hub;
