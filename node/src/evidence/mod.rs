//! What the log proves: which events are asked for, and signed heads of its tree.

pub mod checkpoint;
pub mod filter;
