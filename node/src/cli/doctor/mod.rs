//! `snakepit doctor`: what is needed here, whether it is there, and what to do where it is not. One file per
//! group of checks; this one is the table.

mod check;
mod clocks;
mod cluster;
mod disk;
mod machine;
mod pools;
mod ports;
mod python;

use std::time::Duration;

use super::cluster::Place;
use super::cluster::record::Record;
use super::error::{CliError, FAILED};
use super::globals::Context;
use super::output::{Cell, Tone, note};
use check::{Check, Verdict};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Python that would run workers [default: the cluster's, SNAKEPIT_PYTHON or python3]
    #[arg(long, value_name = "PROGRAM")]
    python: Option<String>,
    /// What they would serve [default: the cluster's, or snakepit.demo.showcase]
    #[arg(long, value_name = "PKG.MOD[.CLASS]")]
    adapter: Option<String>,
    /// Time that importing the adapter may take
    #[arg(long, default_value = "60s", value_parser = super::arguments::duration, value_name = "TIME")]
    adapter_timeout: Duration,
    #[command(flatten)]
    place: Place,
}

/// Make all checks.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let layout = args.place.layout()?;
    let record = Record::find(&layout)?;
    let pool = record.as_ref().and_then(|record| record.pool.as_ref());
    let python = args
        .python
        .or_else(|| pool.map(|pool| pool.python.clone()))
        .unwrap_or_else(super::cluster::python::default);
    let adapter = args
        .adapter
        .or_else(|| pool.map(|pool| pool.adapter.clone()))
        .unwrap_or_else(|| super::cluster::up::ADAPTER.into());
    // A cluster that is asked while the disk is tried would seem slow: one after the other.
    let mut checks = python::checks(&python, &adapter, args.adapter_timeout).await;
    checks.extend(machine::checks(&layout));
    checks.extend(disk::checks(&layout));
    checks.extend(ports::checks(record.as_ref()).await);
    checks.extend(cluster::checks(context, record.as_ref()).await?);
    print(context, &checks)
}

/// Time for one question to a cluster: one that does not answer is no reason to wait long.
fn cluster_timeout(context: &Context) -> Duration {
    context.timeout().min(Duration::from_secs(3))
}

fn print(context: &Context, checks: &[Check]) -> Result<(), CliError> {
    let rows = checks.iter().map(|check| {
        let remedy = match &check.remedy {
            Some(remedy) => Cell::text(remedy),
            None => Cell::none(),
        };
        vec![
            Cell::text(check.group),
            Cell::text(&check.name),
            Cell::toned(check.verdict.name(), tone(check.verdict)),
            Cell::text(&check.found),
            remedy,
        ]
    });
    let headers = ["of", "check", "verdict", "found", "remedy"];
    context.output.table(&headers, rows.collect(), &checks)?;
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    if !context.output.is_json() {
        note(&format!(
            "{} checks: {failed} failed, {warned} with a warning",
            checks.len()
        ));
    }
    if failed > 0 {
        return Err(CliError::said(FAILED));
    }
    Ok(())
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Warn => Tone::Plain,
        Verdict::Fail => Tone::Bad,
    }
}
