//! `snakepit log state` and `snakepit log diff`: what sessions held at a moment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use snakepit_client::{EventQuery, Moment};
use snakepit_machine::{MemoryRows, Row, RowsExt as _};
use snakepit_proto::values;
use snakepit_storage::{Replay, StoredEvent};

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, cut, note};
use super::moment::At;
use super::source::{self, Events};

const VALUE_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A position of the log, or a time, for example 2026-11-26T12:00:00Z
    #[arg(long, value_name = "POSITION|TIME")]
    at: At,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The earlier moment: a position of the log, or a time
    #[arg(value_name = "POSITION|TIME")]
    from: At,
    /// The later one
    #[arg(value_name = "POSITION|TIME")]
    to: At,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// Only this session
    #[arg(
        short,
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "ID"
    )]
    session: String,
    /// Data directory of a stopped node, instead of a running cluster
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A variable, as it was.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    type_name: String,
    version: u64,
    value: Json,
}

/// What there was: sessions, and in each its variables.
type State = BTreeMap<String, BTreeMap<String, Held>>;

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let state = at(context, &args.of, args.at).await?;
    if !args.of.session.is_empty() && !state.contains_key(&args.of.session) {
        return Err(absent(&args.of.session, args.at));
    }
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for (session, variables) in &state {
        if variables.is_empty() {
            rows.push(vec![
                Cell::text(session),
                Cell::none(),
                Cell::none(),
                Cell::none(),
                Cell::none(),
            ]);
            json.push(json!({ "session": session }));
        }
        for (name, held) in variables {
            rows.push(vec![
                Cell::text(session),
                Cell::text(name),
                Cell::text(&held.type_name),
                Cell::text(cut(&held.value.to_string(), VALUE_CHARS)),
                Cell::number(held.version),
            ]);
            json.push(json!({
                "session": session,
                "variable": name,
                "type": held.type_name,
                "value": held.value,
                "version": held.version,
            }));
        }
    }
    let headers = ["session", "variable", "type", "value", "version"];
    context.output.table(&headers, rows, &json)
}

pub(crate) async fn diff(context: &Context, args: &DiffArgs) -> Result<(), CliError> {
    let before = at(context, &args.of, args.from).await?;
    let after = at(context, &args.of, args.to).await?;
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    let mut tell = |session: &str, name: &str, was: Option<&Held>, is: Option<&Held>| {
        let (change, tone) = match (was, is) {
            (None, _) => ("added", Tone::Good),
            (_, None) => ("removed", Tone::Bad),
            _ => ("changed", Tone::Plain),
        };
        let shown = |held: Option<&Held>| match held {
            Some(held) => Cell::text(cut(
                &format!("{} (v{})", held.value, held.version),
                VALUE_CHARS,
            )),
            None => Cell::none(),
        };
        let name_cell = if name.is_empty() {
            Cell::none()
        } else {
            Cell::text(name)
        };
        rows.push(vec![
            Cell::text(session),
            name_cell,
            Cell::toned(change, tone),
            shown(was),
            shown(is),
        ]);
        let one = |held: Option<&Held>| {
            held.map(|held| json!({ "type": held.type_name, "value": held.value, "version": held.version }))
        };
        json.push(json!({
            "session": session,
            "variable": (!name.is_empty()).then_some(name),
            "change": change,
            "from": one(was),
            "to": one(is),
        }));
    };
    let none = BTreeMap::new();
    let sessions: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for session in sessions {
        let (was, is) = (before.get(session), after.get(session));
        if was.is_none() != is.is_none() {
            let there = Held {
                type_name: String::new(),
                version: 0,
                value: Json::Null,
            };
            let (was, is) = (was.map(|_| &there), is.map(|_| &there));
            if was.or(is).is_some()
                && before
                    .get(session)
                    .or(after.get(session))
                    .is_some_and(BTreeMap::is_empty)
            {
                tell(session, "", was, is);
            }
        }
        let (was, is) = (was.unwrap_or(&none), is.unwrap_or(&none));
        let names: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for name in names {
            if was.get(name) != is.get(name) {
                tell(session, name, was.get(name), is.get(name));
            }
        }
    }
    if rows.is_empty() && !context.output.is_json() {
        note(&format!(
            "nothing differs between {} and {}",
            args.from, args.to
        ));
        return Ok(());
    }
    let headers = ["session", "variable", "change", "from", "to"];
    context.output.table(&headers, rows, &json)
}

/// What there was at a moment: of one session as the nodes or the directory find it at once, of all by folding
/// the log up to there.
async fn at(context: &Context, of: &Of, at: At) -> Result<State, CliError> {
    if of.session.is_empty() {
        return folded(events(context, of)?, at.0).await;
    }
    if let Some(dir) = &of.dir {
        let state = source::open(&source::data_dirs(dir)?.swap_remove(0))?;
        let position = match at.0 {
            Moment::TimeMs(time_ms) => state.position_at(time_ms).map_err(CliError::failed)?,
            Moment::Position(position) => position,
            Moment::Now => u64::MAX,
        };
        let past = state
            .session_at(&of.session, position)
            .map_err(CliError::failed)?;
        let there = past.rows.session(&of.session).map_err(CliError::failed)?;
        return Ok(there.map(|_| state_of(&past.rows)).unwrap_or_default());
    }
    let answered = context.client()?.export_session_at(&of.session, at.0).await;
    let export = match answered {
        Ok(answer) => answer.value,
        Err(snakepit_client::ClientError::NotFound(_)) => return Ok(State::new()),
        Err(error) => return Err(error.into()),
    };
    let mut held = BTreeMap::new();
    for variable in export.variables {
        let value = variable.value.unwrap_or_default();
        let value = values::decode(&value, &variable.binary_value).map_err(CliError::failed)?;
        held.insert(
            variable.name,
            Held {
                type_name: variable.r#type,
                version: u64::try_from(variable.version).unwrap_or(0),
                value: super::payload::value_json(&value),
            },
        );
    }
    Ok(State::from([(of.session.clone(), held)]))
}

fn events(context: &Context, of: &Of) -> Result<Events, CliError> {
    match &of.dir {
        None => Ok(source::online(
            context.client()?.read_events(EventQuery::default()),
        )),
        Some(dir) => {
            let state = source::open(&source::data_dirs(dir)?.swap_remove(0))?;
            Ok(source::offline(state, EventQuery::default()))
        }
    }
}

async fn folded(mut events: Events, moment: Moment) -> Result<State, CliError> {
    let mut replay = Replay::new();
    while let Some(stored) = events.next().await {
        let stored = stored?;
        let behind = match moment {
            Moment::Now => false,
            Moment::Position(position) => stored.position > position,
            Moment::TimeMs(time_ms) => super::view::decode(&stored)?.time_ms > time_ms,
        };
        if behind {
            break;
        }
        let hash = stored.hash.as_ref().try_into();
        let hash = hash.map_err(|_| CliError::failed("an event has no whole hash"))?;
        let event = StoredEvent {
            position: stored.position,
            bytes: stored.event.into(),
            hash,
        };
        replay.feed(&event).map_err(CliError::failed)?;
    }
    Ok(state_of(replay.rows()))
}

fn state_of(rows: &MemoryRows) -> State {
    let mut state = State::new();
    for (key, row) in rows.iter() {
        match (key, row) {
            (_, Row::Session(session)) => {
                state.entry(session.id.clone()).or_default();
            }
            (snakepit_machine::RowKey::Variable(session, name), Row::Variable(variable)) => {
                state.entry(session.clone()).or_default().insert(
                    name.clone(),
                    Held {
                        type_name: variable.type_name.clone(),
                        version: variable.version,
                        value: super::payload::value_json(&variable.value),
                    },
                );
            }
            _ => {}
        }
    }
    state
}

fn absent(session: &str, at: At) -> CliError {
    CliError::failed(format!("there was no session {session} at {at}"))
        .hint("look for it with `snakepit log replay --event SessionCreated`")
}
