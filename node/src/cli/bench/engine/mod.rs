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

/// How many threads make the load of so many clients, where nobody says otherwise: no more than clients, for a single one
/// is slower where its requests and their answers go from one thread to another.
pub(crate) fn threads(clients: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    clients.clamp(1, processors)
}
