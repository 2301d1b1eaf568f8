//! Records on standard error, each with the node's id.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, LogSettings};

/// Parts that print frames and headers of the wire, tokens among them, below `info`. They stay quiet unless
/// the filter names them.
const WIRE: &str = "h2=info,hyper=info,hyper_util=info,tower=info,tonic=info";

/// Records cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "log.level {level:?} is not a filter of records; hint: write info, or info,snakepit_raft=debug"
    )]
    Filter {
        /// The filter.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in the process has set them up.
    #[error("records are already set up in this process")]
    AlreadySet(#[from] TryInitError),
}

/// Sends the process's records to standard error from now on, each with the node's id. Colours only on a
/// terminal. Once per process.
///
/// # Errors
///
/// A filter that cannot be read; records that are already set up.
pub fn init_log(settings: &LogSettings, node_id: u64) -> Result<(), LogError> {
    let colours = std::io::stderr().is_terminal();
    subscriber(settings, node_id, std::io::stderr, colours)?.try_init()?;
    Ok(())
}

/// The subscriber that [`init_log`] installs, with another writer.
pub(super) fn subscriber<W>(
    settings: &LogSettings,
    node_id: u64,
    writer: W,
    colours: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&settings.level)?)
        .with_writer(writer)
        .with_ansi(colours);
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.event_format(text(node_id)).finish()),
        LogFormat::Json => Box::new(
            builder
                .fmt_fields(JsonFields::new())
                .event_format(NodeJson {
                    node_id,
                    inner: Format::default().json().flatten_event(true),
                })
                .finish(),
        ),
    })
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let parse = |text: &str| {
        EnvFilter::builder()
            .parse(text)
            .map_err(|source| LogError::Filter {
                level: level.to_owned(),
                source,
            })
    };
    let filter = parse(level)?;
    if filter
        .max_level_hint()
        .is_some_and(|most| most <= LevelFilter::INFO)
    {
        return Ok(filter);
    }
    parse(&format!("{WIRE},{level}"))
}

fn text(node_id: u64) -> Format<Full, NodeClock> {
    Format::default().with_timer(NodeClock { node_id })
}

/// The time, then the node: text records begin with both.
struct NodeClock {
    node_id: u64,
}

impl FormatTime for NodeClock {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        SystemTime.format_time(w)?;
        write!(w, " node={}", self.node_id)
    }
}

/// JSON records with the node's id as their first field.
struct NodeJson {
    node_id: u64,
    inner: Format<Json, SystemTime>,
}

impl<S, N> FormatEvent<S, N> for NodeJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Format<Json, SystemTime>: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut record = String::new();
        self.inner
            .format_event(ctx, Writer::new(&mut record), event)?;
        // The formatter has no place for a constant field: it goes in after the brace.
        match record.strip_prefix('{') {
            Some(rest) => write!(writer, "{{\"node\":{},{rest}", self.node_id),
            None => writer.write_str(&record),
        }
    }
}
