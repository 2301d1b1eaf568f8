//! An event for people and for programs.

use serde::ser::{Serialize, SerializeMap, Serializer};
use snakepit_client::StoredEvent;
use snakepit_machine::{Cause, Event, Principal};
use snakepit_proto::events;

use super::super::error::CliError;
use super::super::output::{hex, time};
use super::object::object;
use super::payload;

/// What is enough of a request's id.
const REQUEST_CHARS: usize = 8;

/// Names of the columns of [`row`].
pub(crate) const HEADERS: [&str; 7] = [
    "position", "time", "session", "event", "change", "who", "cause",
];

/// Read an event.
pub(crate) fn decode(stored: &StoredEvent) -> Result<Event, CliError> {
    events::decode(&stored.event)
        .map_err(|error| CliError::failed(format!("event {}: {error}", stored.position)))
}

/// Read an event of which all is to be shown.
///
/// # Errors
///
/// Where a newer release wrote it, and this one would leave something out.
pub(crate) fn decode_whole(stored: &StoredEvent) -> Result<Event, CliError> {
    events::check_whole(&stored.event)
        .map_err(|error| CliError::failed(format!("event {}: {error}", stored.position)))?;
    decode(stored)
}

/// An event as cells of a table.
pub(crate) fn row(event: &Event) -> [String; 7] {
    [
        event.position.to_string(),
        time(event.time_ms),
        event.session_id.clone(),
        event.payload.name().to_owned(),
        payload::change(&event.payload),
        who(&event.principal),
        cause(&event.cause),
    ]
}

/// A name that was authenticated has a tick.
pub(super) fn who(principal: &Principal) -> String {
    match (principal.name.as_str(), principal.verified) {
        ("", _) => "-".into(),
        (name, false) => name.into(),
        (name, true) => format!("{name} ✓"),
    }
}

fn cause(cause: &Cause) -> String {
    let mut parts = Vec::new();
    if !cause.tool.is_empty() {
        parts.push(format!("tool {}", cause.tool));
    }
    if !cause.worker.is_empty() {
        parts.push(format!("worker {}", cause.worker));
    }
    if parts.is_empty() && !cause.request_id.is_empty() {
        let mut letters = cause.request_id.char_indices().rev();
        let begin = letters.nth(REQUEST_CHARS - 1).map_or(0, |(at, _)| at);
        let mark = if begin > 0 { "…" } else { "" };
        let end = &cause.request_id[begin..];
        parts.push(format!("request {mark}{end}"));
    }
    if cause.node != 0 {
        parts.push(format!("node {}", cause.node));
    }
    if parts.is_empty() {
        "-".into()
    } else {
        parts.join(", ")
    }
}

/// All there is to know of an event, and its hash, as one object.
pub(crate) struct Told<'a> {
    pub event: &'a Event,
    pub hash: &'a [u8],
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_map(None)?;
        put_fields(self.event, &mut object)?;
        object.serialize_entry("hash", &hex(self.hash))?;
        object.end()
    }
}

/// All there is to know of an event by itself: the fields of docs/evidence-format.md but `hash` and `bytes`.
pub(super) fn put_fields<M: SerializeMap>(event: &Event, to: &mut M) -> Result<(), M::Error> {
    to.serialize_entry("position", &event.position)?;
    to.serialize_entry("time", &time(event.time_ms))?;
    to.serialize_entry("time_ms", &event.time_ms)?;
    to.serialize_entry("session", &event.session_id)?;
    to.serialize_entry("revision", &event.revision)?;
    to.serialize_entry("event", event.payload.name())?;
    to.serialize_entry("change", &payload::Change(&event.payload))?;
    to.serialize_entry("principal", &Who(&event.principal))?;
    to.serialize_entry("cause", &Why(&event.cause))?;
    to.serialize_entry("raft_index", &event.raft_index)?;
    to.serialize_entry("raft_term", &event.raft_term)
}

struct Who<'a>(&'a Principal);

impl Serialize for Who<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        object!(to, { "name": self.0.name, "verified": self.0.verified })
    }
}

/// What is known of a cause; what is not is left out.
struct Why<'a>(&'a Cause);

impl Serialize for Why<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let cause = self.0;
        let mut object = to.serialize_map(None)?;
        let texts = [
            ("request", &cause.request_id),
            ("call", &cause.call_id),
            ("tool", &cause.tool),
            ("worker", &cause.worker),
        ];
        for (name, text) in texts {
            if !text.is_empty() {
                object.serialize_entry(name, text)?;
            }
        }
        if cause.node != 0 {
            object.serialize_entry("node", &cause.node)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use snakepit_machine::{Past, Payload, SessionConfig, Value};

    use super::payload::change;
    use super::*;

    fn event(payload: Payload, cause: Cause) -> Event {
        Event {
            position: 7,
            session_id: "s".into(),
            revision: 2,
            raft_index: 9,
            raft_term: 1,
            time_ms: 1_700_000_000_123,
            principal: Principal {
                name: "ada".into(),
                verified: false,
            },
            cause,
            answer: None,
            payload,
        }
    }

    #[test]
    fn a_row_says_who_changed_what_and_why() {
        let payload = Payload::VariableSet {
            id: "var_x_1".into(),
            name: "x".into(),
            value: Value::Float(1.5),
            metadata: Default::default(),
            version: 3,
            past: Past::default(),
            type_name: "float".into(),
            access_json: String::new(),
        };
        let by_tool = Cause {
            call_id: "c".into(),
            tool: "train".into(),
            worker: "w-1".into(),
            request_id: "0192-abcdefgh".into(),
            node: 2,
        };
        assert_eq!(
            row(&event(payload.clone(), by_tool.clone())).join(" | "),
            "7 | 2023-11-14T22:13:20.123Z | s | VariableSet | x = 1.5 (v3) | ada \
             | tool train, worker w-1, node 2"
        );
        let by_client = Cause {
            request_id: "0192-abcdefgh".into(),
            node: 2,
            ..Default::default()
        };
        let told = row(&event(payload.clone(), by_client));
        assert_eq!(told[6], "request …abcdefgh, node 2");
        assert_eq!(row(&event(payload.clone(), Cause::default()))[6], "-");
        let told = serde_json::to_value(Told {
            event: &event(payload, by_tool),
            hash: &[0xab; 32],
        });
        let told = told.unwrap();
        assert_eq!(told["change"]["value"], json!(1.5));
        assert_eq!(told["cause"]["call"], "c");
    }

    #[test]
    fn other_changes_are_told() {
        let created = Payload::SessionCreated {
            metadata: [("a".into(), "b".into())].into(),
            ttl_ms: 90_000,
            config: SessionConfig::default(),
            imported_from: String::new(),
            subject: String::new(),
        };
        assert_eq!(change(&created), "ttl 1m30s a=b");
        let long = Payload::VariableRegistered {
            id: "i".into(),
            name: "t".into(),
            type_name: "string".into(),
            value: Value::String("x".repeat(100)),
            constraints_json: String::new(),
            metadata: Default::default(),
            version: 1,
            access_json: String::new(),
            past: Past::default(),
        };
        assert!(change(&long).ends_with("… (v1)"));
        assert_eq!(change(&Payload::SessionTouched), "");
    }
}
