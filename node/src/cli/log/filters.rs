//! Flags that say which events are wanted.

use snakepit_client::EventFilter;

use super::super::error::CliError;
use super::moment::time_ms;
use crate::evidence::filter;

/// All that is given must fit.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filters {
    /// Only events of this kind, for example VariableSet; may be repeated
    #[arg(long = "event", value_name = "KIND")]
    events: Vec<String>,
    /// Only events of this variable
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
    /// Only what this principal did
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Only what was done through this tool, and its calls
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    /// Only what was done on this worker, and its calls
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// Only what this node was asked for
    #[arg(
        long,
        value_name = "ID",
        default_value_t = 0,
        hide_default_value = true
    )]
    node: u64,
    /// Only from this time on, for example 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    since: Option<u64>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    until: Option<u64>,
    /// Only this call, and what it changed
    #[arg(long, value_name = "ID")]
    call: Option<String>,
    /// Only what this request did
    #[arg(long, value_name = "ID")]
    request: Option<String>,
}

impl Filters {
    /// The filter that they make.
    pub(crate) fn filter(&self) -> Result<EventFilter, CliError> {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        let wanted = EventFilter {
            events: self.events.clone(),
            variable: text(&self.variable),
            principal: text(&self.principal),
            tool: text(&self.tool),
            worker: text(&self.worker),
            node: self.node,
            since_ms: self.since.unwrap_or(0),
            until_ms: self.until.unwrap_or(0),
            call_id: text(&self.call),
            request_id: text(&self.request),
        };
        filter::check(&wanted).map_err(CliError::usage)?;
        Ok(wanted)
    }
}
