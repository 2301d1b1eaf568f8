//! The daemon and the `snakepit` command.

pub mod cli;
pub mod config;
pub mod evidence;
mod gathered;
pub mod heal;
pub mod http;
pub mod keys;
pub mod labels;
pub mod pool;
pub mod run;
pub mod services;
pub mod telemetry;
