//! Does the event log tell the same as the clients were told?

use std::collections::BTreeMap;

use snakepit_machine::{Event, Payload, Value};

use super::{FIRST_VERSION, Key, Operation, Told};

/// Hold a history against the events: each acknowledged write is there, at its version, exactly once; none
/// that was told not to be done is there; versions are dense.
///
/// # Errors
///
/// What does not fit, in words.
pub fn check_events(history: &[Operation], events: &[Event]) -> Result<(), String> {
    let mut versions: BTreeMap<Key, Vec<(u64, i64)>> = BTreeMap::new();
    for event in events {
        let Some((name, version, Some(value))) = written(&event.payload) else {
            continue;
        };
        versions
            .entry((event.session_id.clone(), name.to_owned()))
            .or_default()
            .push((version, value));
    }
    for (key, written) in &versions {
        let dense = (FIRST_VERSION..)
            .zip(written)
            .all(|(expected, (version, _))| *version == expected);
        if !dense {
            return Err(format!("{key:?}: versions are not dense: {written:?}"));
        }
    }
    for operation in history {
        let Some(value) = operation.asked.value() else {
            continue;
        };
        let found: Vec<_> = versions
            .get(&operation.key)
            .into_iter()
            .flatten()
            .filter(|(_, found)| *found == value)
            .map(|(version, _)| *version)
            .collect();
        let fits = match &operation.told {
            Told::Done(version) => found == [*version],
            Told::Maybe(_) => found.len() <= 1,
            Told::Conflict | Told::NotDone(_) => found.is_empty(),
            Told::Seen(..) => true,
        };
        if !fits {
            return Err(format!(
                "{operation:?}: its value is in the log at versions {found:?}"
            ));
        }
    }
    Ok(())
}

fn written(payload: &Payload) -> Option<(&str, u64, Option<i64>)> {
    match payload {
        Payload::VariableRegistered {
            name,
            version,
            value,
            ..
        }
        | Payload::VariableSet {
            name,
            version,
            value,
            ..
        } => Some((name, *version, integer(value))),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => number.to_string().parse().ok(),
        _ => None,
    }
}
