//! The machine by exact outputs: for each command the answer, the events and every row that it changed; and
//! the laws that all sequences of commands keep.

mod batches;
mod laws;
mod requests;
mod sessions;
mod support;
mod variables;
