//! `snakepit log state` and `snakepit log diff`: what sessions held at a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use snakepit_client::{EventQuery, Moment};
use snakepit_machine::{MemoryRows, Row, RowKey, RowsExt as _, Value};
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

/// A session, or a variable of it; sessions come in front of what is in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    session: String,
    variable: Option<String>,
}

/// What there was at a place.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Session,
    Variable {
        type_name: String,
        version: u64,
        value: Json,
    },
}

/// All that there was.
type State = BTreeMap<Place, Held>;

impl Place {
    fn session(id: &str) -> Self {
        Self {
            session: id.to_owned(),
            variable: None,
        }
    }

    fn variable(session: &str, name: &str) -> Self {
        Self {
            session: session.to_owned(),
            variable: Some(name.to_owned()),
        }
    }
}

impl Held {
    fn of(type_name: &str, version: u64, value: &Value) -> Self {
        Self::Variable {
            type_name: type_name.to_owned(),
            version,
            value: super::payload::value_json(value),
        }
    }

    /// For people; a session has nothing to show.
    fn cell(&self) -> Cell {
        match self {
            Self::Session => Cell::none(),
            Self::Variable { version, value, .. } => {
                Cell::text(cut(&format!("{value} (v{version})"), VALUE_CHARS))
            }
        }
    }

    /// For programs.
    fn json(&self) -> Json {
        match self {
            Self::Session => json!({}),
            Self::Variable {
                type_name,
                version,
                value,
            } => json!({ "type": type_name, "value": value, "version": version }),
        }
    }
}

/// What is another thing, or at one of two moments only.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    place: Place,
    from: Option<Held>,
    to: Option<Held>,
}

impl Change {
    fn kind(&self) -> (&'static str, Tone) {
        match (&self.from, &self.to) {
            (None, _) => ("added", Tone::Good),
            (_, None) => ("removed", Tone::Bad),
            _ => ("changed", Tone::Plain),
        }
    }

    fn row(&self) -> Vec<Cell> {
        let (kind, tone) = self.kind();
        let held = |held: &Option<Held>| held.as_ref().map_or_else(Cell::none, Held::cell);
        vec![
            Cell::text(&self.place.session),
            self.place
                .variable
                .as_ref()
                .map_or_else(Cell::none, Cell::text),
            Cell::toned(kind, tone),
            held(&self.from),
            held(&self.to),
        ]
    }

    fn json(&self) -> Json {
        json!({
            "session": self.place.session,
            "variable": self.place.variable,
            "change": self.kind().0,
            "from": self.from.as_ref().map(Held::json),
            "to": self.to.as_ref().map(Held::json),
        })
    }
}

/// What differs, in the order of the places.
fn changes(before: &State, after: &State) -> Vec<Change> {
    let places: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changes = places.into_iter().map(|place| Change {
        place: place.clone(),
        from: before.get(place).cloned(),
        to: after.get(place).cloned(),
    });
    changes.filter(|change| change.from != change.to).collect()
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let state = at(context, &args.of, args.at).await?;
    let session = &args.of.session;
    if !session.is_empty() && !state.contains_key(&Place::session(session)) {
        return Err(absent(session, args.at));
    }
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    let mut places = state.iter().peekable();
    while let Some((place, held)) = places.next() {
        let session = &place.session;
        let (
            Some(name),
            Held::Variable {
                type_name,
                version,
                value,
            },
        ) = (&place.variable, held)
        else {
            // Its variables stand for it, where it has some.
            if places
                .peek()
                .is_none_or(|(next, _)| next.session != *session)
            {
                let mut row = vec![Cell::text(session)];
                row.resize(5, Cell::none());
                rows.push(row);
                json.push(json!({ "session": session }));
            }
            continue;
        };
        rows.push(vec![
            Cell::text(session),
            Cell::text(name),
            Cell::text(type_name),
            Cell::text(cut(&value.to_string(), VALUE_CHARS)),
            Cell::number(version),
        ]);
        json.push(json!({
            "session": session,
            "variable": name,
            "type": type_name,
            "value": value,
            "version": version,
        }));
    }
    let headers = ["session", "variable", "type", "value", "version"];
    context.output.table(&headers, rows, &json)
}

pub(crate) async fn diff(context: &Context, args: &DiffArgs) -> Result<(), CliError> {
    let before = at(context, &args.of, args.from).await?;
    let after = at(context, &args.of, args.to).await?;
    let changes = changes(&before, &after);
    if changes.is_empty() && !context.output.is_json() {
        note(&format!(
            "nothing differs between {} and {}",
            args.from, args.to
        ));
        return Ok(());
    }
    let headers = ["session", "variable", "change", "from", "to"];
    let json: Vec<_> = changes.iter().map(Change::json).collect();
    let rows = changes.iter().map(Change::row).collect();
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
    let mut state = State::from([(Place::session(&of.session), Held::Session)]);
    for variable in export.variables {
        let value = variable.value.unwrap_or_default();
        let value = values::decode(&value, &variable.binary_value).map_err(CliError::failed)?;
        let version = u64::try_from(variable.version).unwrap_or(0);
        state.insert(
            Place::variable(&of.session, &variable.name),
            Held::of(&variable.r#type, version, &value),
        );
    }
    Ok(state)
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
    Ok(state_of(&replay.rows().without_answers()))
}

fn state_of(rows: &MemoryRows) -> State {
    let held = rows.iter().filter_map(|(key, row)| match (key, row) {
        (_, Row::Session(session)) => Some((Place::session(&session.id), Held::Session)),
        (RowKey::Variable(session, name), Row::Variable(row)) => Some((
            Place::variable(session, name),
            Held::of(&row.type_name, row.version, &row.value),
        )),
        _ => None,
    });
    held.collect()
}

fn absent(session: &str, at: At) -> CliError {
    CliError::failed(format!("there was no session {session} at {at}"))
        .hint("look for it with `snakepit log replay --event SessionCreated`")
}

#[cfg(test)]
mod tests {
    use snakepit_machine::{Event, Payload, replay};

    use super::*;

    fn created() -> Payload {
        Payload::SessionCreated {
            metadata: BTreeMap::new(),
            ttl_ms: 1_000,
            config: Default::default(),
            imported_from: String::new(),
            subject: String::new(),
        }
    }

    fn registered(name: &str) -> Payload {
        Payload::VariableRegistered {
            id: format!("var_{name}_1"),
            name: name.into(),
            type_name: "integer".into(),
            value: Value::Integer(1.into()),
            constraints_json: String::new(),
            metadata: BTreeMap::new(),
            version: 1,
            access_json: String::new(),
            past: Default::default(),
        }
    }

    fn set(name: &str, value: i64) -> Payload {
        Payload::VariableSet {
            id: format!("var_{name}_1"),
            name: name.into(),
            value: Value::Integer(value.into()),
            metadata: BTreeMap::new(),
            version: 2,
            past: Default::default(),
            type_name: "integer".into(),
            access_json: String::new(),
        }
    }

    /// What there is after some events of sessions.
    fn after(events: &[(&str, Payload)]) -> State {
        let mut rows = MemoryRows::default();
        for (position, (session, payload)) in (1..).zip(events) {
            let event = Event {
                position,
                session_id: (*session).to_owned(),
                revision: position,
                raft_index: position,
                raft_term: 1,
                time_ms: position,
                principal: Default::default(),
                cause: Default::default(),
                answer: None,
                payload: payload.clone(),
            };
            replay(&mut rows, &event).unwrap();
        }
        state_of(&rows)
    }

    #[test]
    fn all_that_differs_is_told_and_nothing_else() {
        let mut events = vec![
            ("a", created()),
            ("a", registered("kept")),
            ("a", registered("set")),
            ("b", created()),
            ("b", registered("x")),
            ("same", created()),
        ];
        let before = after(&events);
        events.extend([
            ("a", set("set", 7)),
            ("a", registered("new")),
            ("b", Payload::SessionDeleted),
            ("c", created()),
            ("c", registered("y")),
        ]);
        let now = after(&events);
        let told: Vec<_> = changes(&before, &now).iter().map(Change::json).collect();
        let one = |value: i64, version: u64| json!({ "type": "integer", "value": value, "version": version });
        let change = |session: &str, variable: Option<&str>, kind: &str, from: Json, to: Json| {
            json!({
                "session": session, "variable": variable, "change": kind, "from": from, "to": to,
            })
        };
        let none = Json::Null;
        let wanted = [
            change("a", Some("new"), "added", none.clone(), one(1, 1)),
            change("a", Some("set"), "changed", one(1, 1), one(7, 2)),
            change("b", None, "removed", json!({}), none.clone()),
            change("b", Some("x"), "removed", one(1, 1), none.clone()),
            change("c", None, "added", none.clone(), json!({})),
            change("c", Some("y"), "added", none, one(1, 1)),
        ];
        assert_eq!(told, wanted);
        assert_eq!(changes(&now, &now), []);
        assert_eq!(changes(&before, &now).len(), changes(&now, &before).len());
    }
}
