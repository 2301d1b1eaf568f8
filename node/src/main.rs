//! The `snakepit` command.

use std::process::ExitCode;

/// For RocksDB too. Its threads give back what others have allocated, all the time, and RocksDB's memory of some seconds
/// at once: the system's allocator spends a sixth of a write on that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    snakepit_node::cli::main()
}
