//! Three nodes over real loopback connections, with stores on disk.

mod cluster;
mod faults;
mod life;
mod proxy;
mod reads;
mod snapshots;
