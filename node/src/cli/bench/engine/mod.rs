//! What makes the load and what is measured: nothing in here knows which system is asked, so that another
//! can be measured by the same code (`node/examples/etcd_bench.rs`).

mod load;
mod outage;
mod row;
mod spread;
mod tally;
mod wire;

pub(crate) use load::{Operation, Plan, load};
pub(crate) use outage::{Outage, Write, median, outage};
pub(crate) use row::Row;
pub(crate) use spread::Spread;
pub(crate) use tally::{Shards, Tally};
pub(crate) use wire::{Caller, kind};
