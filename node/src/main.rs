//! The `snakepit` command.

use std::process::ExitCode;

/// Its threads give back what others have allocated, all the time: the system's allocator spends a sixth of a
/// write on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    snakepit_node::cli::main()
}
