//! Both stores in memory: for tests and simulation. What they do is what the stores on disk do; what they
//! forget is everything, when they are dropped.

mod log;
mod state;

pub use self::log::MemoryLog;
pub use self::state::MemoryState;
