//! `snakepit bench`: how fast a cluster is, and how long it stands still when its leader dies.

mod cells;
mod engine;
mod failover;
mod operation;
mod place;
mod table;
mod watch;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use snakepit_client::Consistency;

use super::arguments::duration;
use super::error::CliError;
use super::globals::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do, one after the other
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "set,get",
        value_name = "OP,…"
    )]
    op: Vec<Op>,
    /// Clients that work at the same time, each at one operation
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,64,256",
        value_name = "N,…",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    clients: Vec<u32>,
    /// Size of a value
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    value_bytes: u32,
    /// How long each number of clients is measured
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "TIME")]
    duration: Duration,
    /// How long they work before that
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "TIME")]
    warmup: Duration,
    /// Sessions that the clients share [default: one for 8 clients]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    sessions: Option<u32>,
    /// What reads may miss
    #[arg(long, default_value = "linearizable", value_name = "WHAT")]
    consistency: Reads,
    /// Which nodes are asked
    #[arg(long, default_value = "any", value_name = "WHICH")]
    target: Target,
    /// gRPC connections in all [default: one to each node for 32 clients]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    connections: Option<u32>,
    /// Threads that make the load [default: one for each processor, and no more than clients]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), value_name = "N")]
    threads: Option<u32>,
    /// What `call` calls, with one parameter named value
    #[arg(long, default_value = "echo", value_name = "TOOL")]
    tool: String,
    /// Variables of one batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    batch: u32,
    /// Watchers of `watch`, spread over the nodes
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    watchers: u32,
    /// Values in a second that `watch` sets
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000), value_name = "N")]
    rate: u32,
    /// Leave the sessions there
    #[arg(long)]
    keep: bool,
    /// How often `failover` kills the leader
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000), value_name = "N")]
    rounds: u32,
    /// The local cluster whose leader `failover` kills [default: as in `snakepit cluster`]
    #[arg(long, env = "SNAKEPIT_CLUSTER_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Args {
    /// How many threads the runtime must have.
    pub(crate) fn threads(&self) -> usize {
        let most = cells::most_clients(self);
        self.threads
            .map_or_else(|| engine::threads(most), |count| count as usize)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Op {
    /// Give a variable a value
    Set,
    /// Read a variable
    Get,
    /// Call a tool
    Call,
    /// Give many variables values in one batch
    BatchSet,
    /// Read many variables in one batch
    BatchGet,
    /// List a session of 10,000 variables
    List,
    /// Read the last 100 of 100,000 versions of a variable
    History,
    /// Let many watchers see what one writer sets
    Watch,
    /// Kill the leader of a local cluster, and wait for the next write
    Failover,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Get => "get",
            Self::Call => "call",
            Self::BatchSet => "batch-set",
            Self::BatchGet => "batch-get",
            Self::List => "list",
            Self::History => "history",
            Self::Watch => "watch",
            Self::Failover => "failover",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reads {
    Linearizable,
    Lease,
    Stale,
}

impl From<Reads> for Consistency {
    fn from(reads: Reads) -> Self {
        match reads {
            Reads::Linearizable => Self::Linearizable,
            Reads::Lease => Self::Lease,
            Reads::Stale => Self::Stale,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// All that are given, in turn
    Any,
    /// Only the leader
    Leader,
    /// All but the leader
    Followers,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    if args.op.contains(&Op::Failover) {
        if args.op.len() > 1 {
            let message = "failover is measured alone";
            return Err(CliError::usage(message).hint("leave out the other operations"));
        }
        return failover::run(context, args.dir.as_deref(), args.rounds).await;
    }
    cells::run(context, &args).await
}
