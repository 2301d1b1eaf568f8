//! `snakepit log blame` and `snakepit var blame`: who wrote a value, when, through which call, from what, and
//! what the call had read.

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use snakepit_client::{Client, EventFilter, EventQuery};
use snakepit_machine::{CallReads, Event, Payload};

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, cut, hex, short_hash, text_or_none, time};
use super::reads::{self, Values};
use super::{source, view};

const VALUE_CHARS: usize = 40;

/// Events that give a variable a version, or end it.
const WRITES: [&str; 4] = [
    "VariableRegistered",
    "VariableSet",
    "VariableRolledBack",
    "VariableDeleted",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The session
    session: String,
    /// Only this variable, with all its versions
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
    /// Only this version of it
    #[arg(long, value_name = "N", requires = "variable")]
    at_version: Option<u64>,
}

impl Args {
    /// All versions of a variable, or one of them.
    pub(crate) fn of(session: String, variable: String, at_version: Option<u64>) -> Self {
        Self {
            session,
            variable: Some(variable),
            at_version,
        }
    }
}

/// What the journal has of the call that wrote a value.
#[derive(Clone, Debug, Default)]
struct Call {
    pool: String,
    tool_version: String,
    arguments_digest: Vec<u8>,
    worker: String,
    worker_node: u64,
    reads: CallReads,
    /// Position of the event that tells of its end; 0 where none does.
    journaled: u64,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let writes = writes(&client, args).await?;
    if writes.is_empty() {
        let what = match (&args.variable, args.at_version) {
            (Some(name), Some(version)) => format!("version {version} of variable {name}"),
            (Some(name), None) => format!("variable {name}"),
            (None, _) => "any variable".into(),
        };
        return Err(CliError::failed(format!(
            "the log has no write of {what} in session {}",
            args.session
        )));
    }
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    let mut values = Values::new(&client);
    for event in &writes {
        let call = match event.cause.call_id.as_str() {
            "" => Call::default(),
            id => call(&client, id).await?,
        };
        rows.push(row(event, &call));
        if context.output.is_json() {
            let reads = values.of(&call.reads, event.position, call.journaled);
            json.push(as_json(event, &call, reads.await?));
        }
    }
    let headers = [
        "variable",
        "version",
        "value",
        "who",
        "time",
        "tool",
        "worker",
        "node",
        "call",
        "arguments",
        "read",
    ];
    context.output.table(&headers, rows, &json)
}

/// Of one variable all writes, the last first; of a session the last write of each variable that it has.
async fn writes(client: &Client, args: &Args) -> Result<Vec<Event>, CliError> {
    let query = EventQuery {
        session: args.session.clone(),
        filter: EventFilter {
            events: WRITES.map(str::to_owned).to_vec(),
            variable: args.variable.clone().unwrap_or_default(),
            ..Default::default()
        },
        ..Default::default()
    };
    let mut events = source::online(client.read_events(query));
    let mut found: Vec<Event> = Vec::new();
    while let Some(stored) = events.next().await {
        let event = view::decode(&stored?)?;
        if args.variable.is_none() {
            let (name, _) = written(&event.payload);
            found.retain(|earlier| written(&earlier.payload).0 != name);
            if matches!(event.payload, Payload::VariableDeleted { .. }) {
                continue;
            }
        }
        if args
            .at_version
            .is_none_or(|wanted| wanted == written(&event.payload).1)
        {
            found.push(event);
        }
    }
    if args.variable.is_some() {
        found.reverse();
    } else {
        found.sort_by(|a, b| written(&a.payload).0.cmp(written(&b.payload).0));
    }
    Ok(found)
}

/// Name and version of what an event wrote.
fn written(payload: &Payload) -> (&str, u64) {
    match payload {
        Payload::VariableRegistered { name, version, .. }
        | Payload::VariableSet { name, version, .. }
        | Payload::VariableRolledBack { name, version, .. }
        | Payload::VariableDeleted { name, version, .. } => (name, *version),
        _ => ("", 0),
    }
}

/// What the journal has of a call, from its start, its end or the record of it.
async fn call(client: &Client, call_id: &str) -> Result<Call, CliError> {
    let query = EventQuery {
        journal_of: call_id.to_owned(),
        ..Default::default()
    };
    let mut events = source::online(client.read_events(query));
    let mut call = Call::default();
    while let Some(stored) = events.next().await {
        let event = view::decode(&stored?)?;
        match event.payload {
            Payload::CallStarted {
                pool,
                tool_version,
                arguments_digest,
                ..
            } => {
                call.pool = pool;
                call.tool_version = tool_version;
                call.arguments_digest = arguments_digest;
            }
            Payload::CallEnded {
                worker,
                node,
                reads,
                ..
            } => {
                call.worker = worker;
                call.worker_node = node;
                call.reads = reads;
                call.journaled = event.position;
            }
            Payload::CallsRecorded { calls } => {
                if let Some(record) = calls.into_iter().find(|record| record.call_id == call_id) {
                    call = Call {
                        pool: record.pool,
                        tool_version: record.tool_version,
                        arguments_digest: record.arguments_digest,
                        worker: record.worker,
                        worker_node: record.node,
                        reads: record.reads,
                        journaled: event.position,
                    };
                }
            }
            _ => {}
        }
    }
    Ok(call)
}

fn value(payload: &Payload) -> Json {
    match payload {
        Payload::VariableRegistered { value, .. }
        | Payload::VariableSet { value, .. }
        | Payload::VariableRolledBack { value, .. } => super::payload::value_json(value),
        _ => Json::Null,
    }
}

fn row(event: &Event, call: &Call) -> Vec<Cell> {
    let (name, version) = written(&event.payload);
    let tool = match call.tool_version.as_str() {
        "" => event.cause.tool.clone(),
        version => format!("{} {version}", event.cause.tool),
    };
    let shown = match &event.payload {
        Payload::VariableDeleted { .. } => "(deleted)".to_owned(),
        payload => cut(&value(payload).to_string(), VALUE_CHARS),
    };
    let digest = match call.arguments_digest.as_slice() {
        [] => Cell::none(),
        digest => Cell::text(short_hash(digest)),
    };
    vec![
        Cell::text(name),
        Cell::number(version),
        Cell::text(shown),
        text_or_none(&view::who(&event.principal)),
        Cell::text(time(event.time_ms)),
        text_or_none(&tool),
        text_or_none(&event.cause.worker),
        Cell::number(event.cause.node),
        text_or_none(&event.cause.call_id),
        digest,
        text_or_none(&reads::short(&call.reads, &event.session_id)),
    ]
}

fn as_json(event: &Event, call: &Call, reads: Vec<Json>) -> Json {
    let (name, version) = written(&event.payload);
    json!({
        "variable": name,
        "version": version,
        "event": event.payload.name(),
        "value": value(&event.payload),
        "position": event.position,
        "time": time(event.time_ms),
        "time_ms": event.time_ms,
        "principal": { "name": event.principal.name, "verified": event.principal.verified },
        "request": event.cause.request_id,
        "node": event.cause.node,
        "tool": event.cause.tool,
        "tool_version": call.tool_version,
        "worker": event.cause.worker,
        "worker_node": call.worker_node,
        "call": event.cause.call_id,
        "pool": call.pool,
        "arguments_digest": hex(&call.arguments_digest),
        "reads": reads,
        "reads_left_out": call.reads.left_out,
    })
}
