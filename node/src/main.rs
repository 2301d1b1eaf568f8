//! The `snakepit` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    snakepit_node::cli::main().await
}
