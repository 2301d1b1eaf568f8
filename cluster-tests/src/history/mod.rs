//! What clients asked and what they were told, and whether that can be.
//!
//! Collecting is apart from checking: a history is a list of operations on registers with versions, and
//! [`check`] is a pure function of it.

mod check;
mod events;

#[cfg(test)]
mod check_tests;

pub use check::{Fault, check};
pub use events::check_events;

/// Names a register: session and variable.
pub type Key = (String, String);

/// One operation of a client on one register. Times are of one clock, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The register.
    pub key: Key,
    /// What was asked.
    pub asked: Asked,
    /// What was told.
    pub told: Told,
    /// When the client asked.
    pub began: u64,
    /// When it was told.
    pub ended: u64,
}

/// What a client asks of a register. No value is written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Which value, at which version?
    Read,
    /// Take this value.
    Write(i64),
    /// Take this value if you are at this version.
    Swap(u64, i64),
}

impl Asked {
    /// The value that it writes.
    pub fn value(self) -> Option<i64> {
        match self {
            Self::Read => None,
            Self::Write(value) | Self::Swap(_, value) => Some(value),
        }
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A read: version and value.
    Seen(u64, i64),
    /// A write: done, this is its version.
    Done(u64),
    /// A swap: the register is at another version.
    Conflict,
    /// It is definitely not done.
    NotDone(String),
    /// It may be done, or be done yet.
    Maybe(String),
}

/// The version that a register has when it is made; its value is 0.
pub const FIRST_VERSION: u64 = 1;
/// The value that a register is made with.
pub const FIRST_VALUE: i64 = 0;
