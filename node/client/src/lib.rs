//! A client of a snakepit cluster.
//!
//! [`Client`] knows some nodes and speaks to one of them until that one fails, then to the next. Every change
//! carries a request id and is repeated with the same one until its deadline, so that it takes effect once;
//! reads are repeated freely; a tool call is repeated only where it has certainly not begun. [`ClientError`]
//! says what a failure leaves the caller to do.
//!
//! This crate never decides anything about state: what it sends and what it returns are the schemas of
//! `snakepit-proto`, with values as JSON.

mod access;
mod answer;
mod audit;
mod backoff;
mod call;
mod client;
mod cluster;
mod dependency;
mod document;
mod endpoint;
mod error;
mod export;
mod history;
mod json;
mod optimization;
mod options;
mod pool;
mod program;
mod recorded;
mod session;
mod stream;
mod subject;
mod tool;
mod variable;
mod watch;
mod worker_pools;
mod workers;

pub use answer::Answer;
pub use audit::{
    EventFilter, EventQuery, EventStream, GetCheckpointResponse, ProveConsistencyResponse,
    ProveInclusionResponse, RowStream, Segment, StoredEvent,
};
pub use client::Client;
pub use cluster::{Page, Tool};
pub use document::{export_from_json, export_to_json};
pub use endpoint::{Endpoint, parse_endpoints};
pub use error::ClientError;
pub use export::{Imported, Moment, SessionExport};
pub use history::{HistoryEntry, HistoryPage, Rollback};
pub use json::{any_from_json, any_to_json, bytes_to_json, type_name_of};
pub use optimization::{Lock, Optimization, Optimizing, Stopped};
pub use options::{ClientOptions, Consistency, RequestIds};
pub use program::{Program, PutProgram};
pub use recorded::{
    ExecuteToolRequest, ExecuteToolResponse, RecordedStream, StreamFailure, ToolChunk,
};
pub use session::{NewSession, Session, SessionQuery};
pub use stream::{Chunk, ChunkStream};
pub use subject::{EraseSubjectResponse, Subject};
pub use tool::{CallAnswer, CallRequest, StreamPosition, ToolError};
pub use variable::{Assigned, Assignment, Dependency, Registered, Registration, SetMany, Variable};
pub use watch::{ChangeCause, Update, UpdateStream, WatchQuery};
pub use worker_pools::{Circuit, Pool};
pub use workers::{Worker, WorkerAction};

/// Status of a node and digest of its rows, as the cluster's schema has them.
pub use snakepit_proto::cluster::{DigestResponse, Member, StatusResponse};
