//! The replicated state machine: commands in, events out.
//!
//! [`step`] decides one command against rows and folds the events that it makes into them. Everything
//! here is a pure function of its arguments: no clock, no randomness, no IO, no unordered map. Time, ids
//! and limits come in with the [`Proposal`], filled in by the leader, so that every node computes the
//! same bytes at the same log index.

pub mod access;
mod answer;
mod array;
mod command;
pub mod decide;
mod event;
pub mod evolve;
pub mod glob;
pub mod json;
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
pub use array::{Array, DIMENSIONS_MAX, Dtype};
pub use command::{
    AddDependency, ArchiveEvents, BindWorker, Body, CALL_OUTCOMES, CallChunks, CallEnd, CallRead,
    CallReads, CallRecord, CallStart, Command, CreateSession, DeleteProgram, DeleteSession,
    DeleteVariable, EraseSubject, ExpireProgram, ExpireSession, ImportSession, ImportedProgram,
    ImportedVariable, Origin, Proposal, PutPool, PutProgram, PutSubject, RecordCalls,
    RegisterTools, RegisterVariable, RemoveDependency, RemovePool, RollbackVariable, SetAccess,
    SetVariable, SetVariables, StartOptimization, StopOptimization, TouchSession, UnbindWorker,
};
pub use decide::DEPENDENCY_KINDS;
pub use event::{Cause, Event, Past, Payload, Principal};
pub use limits::{
    ACCESS_BYTES_MAX, BINDINGS_PER_SESSION_MAX, CALL_EXTRA_BYTES_MAX, CALL_READS_MAX,
    CHUNKS_PER_BATCH_MAX, DIGEST_BYTES, ERROR_TYPE_BYTES_MAX, HASH_BYTES, ID_BYTES_MAX,
    KEY_ID_BYTES, LEASE_MAX_MS, LEASE_MIN_MS, Limits, POOL_NAME_BYTES_MAX, RECORDED_CALLS_MAX,
    RECORDED_READS_MAX, SEALED_EXTRA_BYTES, SEALED_PREFIX, WORKER_ID_BYTES_MAX,
};
pub use memory::MemoryRows;
pub use overlay::{Changes, Overlay};
pub use rejection::{Rejection, RejectionKind};
pub use row::{
    Binding, HeadRow, Kept, Lock, PoolRow, ProgramRow, Row, RowKey, RowPrefix, SegmentRow,
    SessionConfig, SessionRow, SubjectRow, ToolRow, VariableRow,
};
pub use rows::{Rows, RowsError, RowsExt, RowsMut};
pub use step::{LogPoint, Stepped, replay, step};
pub use value::{Checked, Sealed, Value};
