//! Clusters of real processes, and what is asked of them: faults, histories, checkers.
//!
//! [`Cluster`] runs nodes on a loopback address of its own and takes them, and whatever they started, along
//! when it is dropped. [`Load`] asks them many things at once and writes down what came back; [`history`]
//! decides whether that can be. Nothing here reads a node's files while it runs: nodes are asked through
//! their public interfaces.

// What a failed test shows, and the seeds that give it again, go to the test's output.
#![allow(clippy::print_stdout)]

pub mod audit;
pub mod calls;
pub mod cluster;
pub mod collector;
pub mod deadline;
pub mod history;
pub mod load;
pub mod node;
pub mod processes;
pub mod programs;
pub mod raw;
pub mod seed;
pub mod settings;
pub mod tools;

pub use cluster::Cluster;
pub use deadline::{eventually, within};
pub use load::Load;
pub use settings::Spec;
