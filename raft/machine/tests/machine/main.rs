//! The machine by exact outputs: for each command the answer, the events and every row that it changed; and
//! the laws that all sequences of commands keep.

mod access;
mod archive;
mod batches;
mod bindings;
mod calls;
mod dependencies;
mod history;
mod imports;
mod laws;
mod optimizations;
mod pools;
mod programs;
mod requests;
mod rollback;
mod sessions;
mod support;
mod tools;
mod variables;
