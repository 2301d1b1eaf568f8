//! Pools of Python workers: processes that this node starts, feeds with calls, and replaces.
//!
//! | File | |
//! |---|---|
//! | `settings` | what a pool is told |
//! | `dispatch`, `stream`, `queries` | the handle: calls, streams, questions |
//! | `call`, `error` | what goes in and comes out |
//! | `pool`, `admit`, `tend`, `state` | one pool's calls and workers; `state` is plain data without IO or clocks |
//! | `endpoint`, `frames`, `link` | a worker's connection: hello, messages in, messages out |
//! | `place`, `seat`, `stop` | a place for a worker: start, wait, replace, back off; and the order to stop |
//! | `spawn`, `zygote`, `process`, `output` | processes, their groups, their end and their log |
//! | `guard`, `sweep` | that nothing is left behind |
//! | `offer` | tools of processes that the node did not start |
//! | `socket` | the Unix socket |
//! | `meters` | metrics |
//!
//! **A call runs at most once**, unless it is idempotent. It waits in the pool's queue until a worker has a
//! free slot. A tool that has shown itself quick (under a millisecond) may also be sent to wait at a busy
//! worker, so that messages carry many calls; where such a worker stalls, its waiting calls are asked back and
//! run elsewhere. When a worker dies, calls that were not sent go elsewhere unseen, and the others are answered
//! with [`CallError::WorkerDied`]: maybe done. Running idempotent ones again is the router's business.
//!
//! **A worker does not outlive its node** by more than a moment: see `guard` for what holds and what does not.
//!
//! Order of locks: a seat's, then a pool's; no lock is held while something is awaited.

mod admit;
mod call;
mod dispatch;
mod endpoint;
mod error;
mod frames;
mod guard;
mod link;
mod meters;
mod offer;
mod output;
mod place;
#[allow(clippy::module_inception)]
mod pool;
mod process;
mod queries;
mod reads;
mod seat;
mod settings;
mod socket;
mod spawn;
mod state;
mod stop;
mod stream;
mod sweep;
mod tend;
mod zygote;

pub use call::{CallContext, CallOutcome, PoolReadiness, ToolCall};
pub use dispatch::Pools;
pub use endpoint::{PROTOCOL, WorkerEndpoint};
pub use error::{CallError, CallErrorKind};
pub use link::Outgoing;
pub use offer::OfferEndpoint;
pub use queries::{ANY_TOOL, Control, Load};
pub use reads::Reads;
pub use settings::{Affinity, BUSY_HEARTBEAT_FACTOR, Concurrency, Journal, PoolSettings, Start};
pub use socket::{PATH_BYTES_MAX, listen_unix, server, socket_path};
pub use stream::CallStream;

#[cfg(test)]
mod tests;
