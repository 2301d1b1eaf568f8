//! The replicated state machine: commands in, events out.
//!
//! [`step`] decides one command against rows and folds the events that it makes into them. Everything
//! here is a pure function of its arguments: no clock, no randomness, no IO, no unordered map. Time, ids
//! and limits come in with the [`Proposal`], filled in by the leader, so that every node computes the
//! same bytes at the same log index.

mod answer;
mod command;
pub mod decide;
mod event;
pub mod evolve;
mod limits;
mod memory;
mod overlay;
mod rejection;
mod row;
mod rows;
mod step;
pub mod types;
mod value;

pub use answer::{Answer, Outcome};
pub use command::{
    Body, Command, CreateSession, DeleteSession, DeleteVariable, ExpireSession, Origin, Proposal,
    RegisterVariable, SetVariable, SetVariables, TouchSession,
};
pub use event::{Cause, Event, Payload, Principal};
pub use limits::{ID_BYTES_MAX, Limits};
pub use memory::MemoryRows;
pub use overlay::{Changes, Overlay};
pub use rejection::{Rejection, RejectionKind};
pub use row::{HeadRow, RequestRow, Ring, Row, RowKey, RowPrefix, SessionRow, VariableRow};
pub use rows::{Rows, RowsError, RowsExt, RowsMut};
pub use step::{LogPoint, Stepped, replay, step};
pub use value::Value;
