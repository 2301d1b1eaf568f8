//! Every byte format of this crate, events apart (those are protobuf, see `snakepit-proto`).
//!
//! Values are sealed: version, kind, checksum, body (`frame.rs`). Keys are order-preserving ([`keys`]). This is
//! the only module that names bincode. `golden/` holds one file for each format; a change of any byte fails
//! the golden tests and needs a new version byte. Run `GOLDEN_WRITE=1 cargo test -p snakepit-storage golden`
//! to write new ones.

pub mod command;
pub(crate) mod frame;
pub mod keys;
pub mod log_entry;
pub(crate) mod meta;
pub mod outcome;
pub mod payload;
pub mod row;
pub(crate) mod segment;
pub mod session_point;
pub mod stored_event;

#[cfg(test)]
mod arbitrary_tests;
#[cfg(test)]
mod golden_tests;
