//! The `snakepit` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    snakepit_node::cli::main()
}
