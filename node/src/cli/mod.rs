//! The command line. One file per verb; this one is the table.

mod arguments;
mod bench;
mod call;
mod cluster;
mod doctor;
mod error;
mod generate;
mod globals;
mod log;
mod node;
mod output;
mod pool;
mod program;
mod session;
mod subject;
mod tool;
mod var;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::error::CliError;
use self::globals::{Context, Globals};

/// Durable sessions for Python workers.
#[derive(Debug, Parser)]
#[command(
    name = "snakepit",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Launch and tend a cluster on this machine
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Run one node
    Node(node::Args),
    /// Create, list, show, copy and end sessions
    #[command(subcommand)]
    Session(session::Verb),
    /// Subjects: whose values sealed sessions hold, and their erasure
    #[command(subcommand)]
    Subject(subject::Verb),
    /// Variables of a session: their values, history, watches, dependencies, locks and rules
    #[command(subcommand)]
    Var(var::Verb),
    /// Programs: named documents of a session or of the cluster
    #[command(subcommand)]
    Program(program::Verb),
    /// Call a tool and print its result as JSON
    Call(call::Args),
    /// Tools that workers offer
    #[command(subcommand)]
    Tool(tool::Verb),
    /// Pools: sets of alike workers, of the whole cluster
    #[command(subcommand)]
    Pool(pool::Verb),
    /// Workers of all nodes
    #[command(subcommand)]
    Worker(worker::Verb),
    /// Replay, verify, export and follow the event log
    #[command(subcommand)]
    Log(log::Verb),
    /// Measure how fast a cluster is, and how long it stands still without its leader
    Bench(bench::Args),
    /// Write code to begin with
    #[command(subcommand, name = "gen")]
    Generate(generate::Verb),
    /// Look whether all that is needed is there: Python, the machine, the disk, the cluster
    Doctor(doctor::Args),
}

/// Run what the command line asks for; the process's exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and versions are answers, all else is a mistake.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    // The runtime is started here and not in main.rs, so that all code is generated once, in this crate.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Verb::Bench(args) = &cli.verb {
        runtime.worker_threads(args.threads());
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return CliError::failed(format!("no threads can be started: {error}")).report();
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let context = Context::new(cli.globals);
    match cli.verb {
        Verb::Cluster(verb) => cluster::run(&context, verb).await,
        Verb::Node(args) => node::run(args).await,
        Verb::Session(verb) => session::run(&context, verb).await,
        Verb::Subject(verb) => subject::run(&context, verb).await,
        Verb::Var(verb) => var::run(&context, verb).await,
        Verb::Program(verb) => program::run(&context, verb).await,
        Verb::Call(args) => call::run(&context, args).await,
        Verb::Tool(verb) => tool::run(&context, verb).await,
        Verb::Pool(verb) => pool::run(&context, verb).await,
        Verb::Worker(verb) => worker::run(&context, verb).await,
        Verb::Log(verb) => log::run(&context, verb).await,
        Verb::Bench(args) => bench::run(&context, args).await,
        Verb::Generate(verb) => generate::run(&context, verb),
        Verb::Doctor(args) => doctor::run(&context, args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_work_anywhere() {
        let read = |line: &str| Cli::try_parse_from(line.split(' '));
        let cli = read("snakepit session ls -o json --endpoints 127.0.0.1:1,2").unwrap();
        assert_eq!(cli.globals.endpoints.as_deref(), Some("127.0.0.1:1,2"));
        assert!(read("snakepit var set x 1").is_err(), "a session is needed");
        assert!(
            read("snakepit var set x -5 -s a").is_ok(),
            "negative numbers are values"
        );
        assert!(read("snakepit cluster up --nodes 0").is_err());
        assert!(read("snakepit log replay --from 5 --limit 2 --dir d").is_ok());
        assert!(read("snakepit call add a=1 b=-2 --deadline 5s").is_ok());
        assert!(read("snakepit var watch -s a --after 5 x y").is_ok());
        assert!(read("snakepit var access x {} -s a").is_ok());
        assert!(read("snakepit var access x {} --clear -s a").is_err());
        assert!(read("snakepit var rollback x 0 -s a").is_err());
        assert!(read("snakepit session create --cache=5s a").is_ok());
        assert!(read("snakepit session create --cache a").is_ok());
        assert!(read("snakepit program put p 1 --file f").is_err());
        assert!(read("snakepit program put p").is_err());
        assert!(read("snakepit --timeout x cluster status").is_err());
    }

    #[test]
    fn pools_workers_and_calls_are_read() {
        let read = |line: &str| Cli::try_parse_from(line.split(' '));
        for good in [
            "snakepit pool ls -o json",
            "snakepit pool add a --adapter m --size 0 --env A=-1 --set x=-1",
            "snakepit pool set a size=4 env.A=1 venv=",
            "snakepit pool resize a 3",
            "snakepit pool rm a b",
            "snakepit pool stats",
            "snakepit worker ls --wide --pool a",
            "snakepit worker restart --pool a",
            "snakepit worker restart --all",
            "snakepit worker restart w-1",
            "snakepit tool show add",
            "snakepit call count to=3 --stream --pool a --idempotent",
            "snakepit call count --resume c-1 --from 4",
            "snakepit call replay c-1 c-2 --pool a",
            "snakepit call replay --tool t --session s --since 2026-11-26T12:00:00Z --limit 3 --dry-run",
            "snakepit call -- replay",
            "snakepit gen adapter mine --kind bridge --dir d",
            "snakepit doctor --python p --adapter a --dir d",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "snakepit pool set a",
            "snakepit pool set a size",
            "snakepit pool resize a -1",
            "snakepit worker restart",
            "snakepit worker restart w-1 --all",
            "snakepit worker restart --pool a --all",
            "snakepit worker kill",
            "snakepit call",
            "snakepit call replay",
            "snakepit call replay c-1 --tool t",
            "snakepit call replay --tool t --limit 0",
            "snakepit call replay --tool t --since yesterday",
            "snakepit call count --from 4",
            "snakepit gen adapter mine --kind x",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
