//! Calls of tools: where each runs, again where it may, with what the log keeps of it.
//!
//! | File | |
//! |---|---|
//! | `routed` | a call that was taken |
//! | `choose` | which node and worker should run it |
//! | `balance` | calls that wait here go where there is room |
//! | `bind` | sessions that are bound to one worker |
//! | `run` | running it, and running it again |
//! | `stream` | the same for streams |
//! | `journal`, `full` | what the log keeps; calls that run once |
//! | `reads` | what calls have read, from node to node |
//! | `chunks`, `resume` | streams that the log keeps, and that go on elsewhere |
//! | `answer` | the answer to the caller |

mod answer;
mod balance;
mod bind;
mod choose;
mod chunks;
mod full;
mod journal;
mod reads;
mod resume;
mod routed;
mod run;
mod stream;

pub(super) use journal::CallLog;
pub(super) use reads::{send as send_reads, send_behind as send_reads_behind};
pub(super) use routed::Routed;
