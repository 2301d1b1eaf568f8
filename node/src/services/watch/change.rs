//! One event as watchers see it.

use std::io;
use std::sync::{Arc, OnceLock};

use snakepit_machine::{Event, Payload, RowsExt, Value, VariableRow};
use snakepit_proto::values::Arrays;
use snakepit_proto::{bridge, events, times};
use snakepit_storage::{StateStore, StoredEvent};

use crate::services::Failure;
use crate::services::seal::Opener;
use crate::services::wire::{self, Look};

/// What an event means to watchers of its session.
#[derive(Debug)]
pub(super) enum Change {
    /// A variable changed.
    Variable(Box<VariableChange>),
    /// The session ended.
    Ended(u64),
}

impl Change {
    /// Position of its event.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Variable(change) => change.event.position,
            Self::Ended(position) => *position,
        }
    }
}

/// A change of a variable.
#[derive(Debug)]
pub(super) struct VariableChange {
    pub(super) id: String,
    pub(super) name: String,
    /// Rules that held then, and those that hold now: both must let a watcher in.
    pub(super) rules: [String; 2],
    type_name: String,
    event: Event,
    kind: &'static str,
    value: Option<Value>,
    version: u64,
    /// The variable as it is now; `None` where it is gone.
    row: Option<Arc<VariableRow>>,
    json: OnceLock<Made>,
    raw: OnceLock<Made>,
}

/// An update, or why it cannot be shown.
type Made = Result<Box<bridge::VariableUpdate>, String>;

impl VariableChange {
    /// The update, made once for all who take arrays in that way.
    pub(super) fn update(
        &self,
        arrays: Arrays,
        opener: &Opener,
    ) -> Result<bridge::VariableUpdate, Failure> {
        let made = match arrays {
            Arrays::Json => &self.json,
            Arrays::Raw => &self.raw,
        };
        let make = || {
            let made = self.make(arrays, opener);
            made.map(Box::new).map_err(|failure| failure.to_string())
        };
        match made.get_or_init(make) {
            Ok(update) => Ok(update.as_ref().clone()),
            Err(reason) => Err(Failure::Refused(reason.clone())),
        }
    }

    fn make(&self, arrays: Arrays, opener: &Opener) -> Result<bridge::VariableUpdate, Failure> {
        let look = Look {
            now_ms: self.event.time_ms,
            arrays,
            origin: Arc::default(),
            opener: opener.clone(),
        };
        let session_id = &self.event.session_id;
        let metadata = metadata_of(&self.event.payload);
        let by_tool = !self.event.cause.call_id.is_empty();
        let source = wire::source(&metadata, by_tool);
        // Rules, dependencies and locks are as they are now; value, version and time are the event's own.
        let mut variable = match self.row.clone() {
            Some(row) => wire::variable(session_id, Arc::unwrap_or_clone(row), &look)?,
            None => bridge::Variable::default(),
        };
        let (value, payload) = self
            .value
            .as_ref()
            .map(|value| wire::value(session_id, &self.name, value, &self.type_name, &look))
            .transpose()?
            .unzip();
        variable.id.clone_from(&self.id);
        variable.name.clone_from(&self.name);
        variable.r#type.clone_from(&self.type_name);
        variable.value = value;
        variable.binary_value = payload.unwrap_or_default().into();
        variable.version = wire::version(self.version);
        variable.source = source.into();
        variable.last_updated_at = Some(times::timestamp(self.event.time_ms));
        let update_source = match source {
            bridge::variable::Source::Python => "python",
            bridge::variable::Source::Elixir => "elixir",
        };
        Ok(bridge::VariableUpdate {
            variable_id: self.id.clone(),
            dependents: variable.dependents.clone(),
            variable: Some(variable),
            update_source: update_source.to_owned(),
            update_metadata: metadata,
            timestamp: Some(times::timestamp(self.event.time_ms)),
            update_type: self.kind.to_owned(),
            position: self.event.position,
            raft_index: self.event.raft_index,
            cause: Some(wire::cause(&self.event)),
        })
    }
}

fn metadata_of(payload: &Payload) -> std::collections::BTreeMap<String, String> {
    match payload {
        Payload::VariableRegistered { metadata, .. } | Payload::VariableSet { metadata, .. } => {
            metadata.clone()
        }
        Payload::VariableRolledBack {
            metadata,
            target_version,
            ..
        } => {
            let mut metadata = metadata.clone();
            metadata.insert("rolled_back_to".into(), target_version.to_string());
            metadata
        }
        _ => Default::default(),
    }
}

/// The session of a stored event and what the event means there; `None` where it means nothing to watchers.
pub(super) fn read(
    state: &StateStore,
    stored: &StoredEvent,
    watched: impl FnOnce(&str) -> bool,
) -> io::Result<Option<(String, Change)>> {
    let event = events::decode(&stored.bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if !watched(&event.session_id) {
        return Ok(None);
    }
    let session_id = event.session_id.clone();
    let Some(told) = told(&event.payload) else {
        return Ok((matches!(
            event.payload,
            Payload::SessionDeleted | Payload::SessionExpired { .. }
        ))
        .then_some((session_id, Change::Ended(event.position))));
    };
    // A namesake that was registered since is another variable.
    let row = state
        .rows()
        .variable_named(&session_id, told.name)
        .map_err(io::Error::other)?
        .filter(|row| told.id.is_none_or(|id| *id == row.id));
    let now = |read: fn(&VariableRow) -> &String| row.as_deref().map(read).cloned();
    let change = VariableChange {
        id: told
            .id
            .cloned()
            .or_else(|| now(|row| &row.id))
            .unwrap_or_default(),
        name: told.name.clone(),
        rules: [
            told.access_json.cloned().unwrap_or_default(),
            now(|row| &row.access_json).unwrap_or_default(),
        ],
        type_name: told
            .type_name
            .cloned()
            .or_else(|| now(|row| &row.type_name))
            .unwrap_or_default(),
        kind: told.kind,
        value: told.value.cloned(),
        version: told
            .version
            .or(row.as_ref().map(|row| row.version))
            .unwrap_or(0),
        row,
        event,
        json: OnceLock::new(),
        raw: OnceLock::new(),
    };
    Ok(Some((session_id, Change::Variable(Box::new(change)))))
}

/// What an event tells of a variable.
struct Told<'a> {
    kind: &'static str,
    id: Option<&'a String>,
    name: &'a String,
    value: Option<&'a Value>,
    version: Option<u64>,
    type_name: Option<&'a String>,
    access_json: Option<&'a String>,
}

fn told(payload: &Payload) -> Option<Told<'_>> {
    let plain = |kind, id, name| Told {
        kind,
        id,
        name,
        value: None,
        version: None,
        type_name: None,
        access_json: None,
    };
    Some(match payload {
        Payload::VariableRegistered {
            id,
            name,
            value,
            version,
            type_name,
            access_json,
            ..
        } => Told {
            value: Some(value),
            version: Some(*version),
            type_name: Some(type_name),
            access_json: Some(access_json),
            ..plain(
                if *version == 1 {
                    "registered"
                } else {
                    "constraint_change"
                },
                Some(id),
                name,
            )
        },
        Payload::VariableSet {
            id,
            name,
            value,
            version,
            type_name,
            access_json,
            ..
        } => Told {
            value: Some(value),
            version: Some(*version),
            type_name: Some(type_name),
            access_json: Some(access_json),
            ..plain("value_change", Some(id), name)
        },
        Payload::VariableRolledBack {
            id,
            name,
            value,
            version,
            type_name,
            access_json,
            ..
        } => Told {
            value: Some(value),
            version: Some(*version),
            type_name: Some(type_name),
            access_json: Some(access_json),
            ..plain("rollback", Some(id), name)
        },
        Payload::VariableDeleted {
            id,
            name,
            version,
            type_name,
            access_json,
        } => Told {
            version: Some(*version),
            type_name: Some(type_name),
            access_json: Some(access_json),
            ..plain("deleted", Some(id), name)
        },
        Payload::VariableAccessSet {
            id,
            name,
            access_json,
        } => Told {
            access_json: Some(access_json),
            ..plain("access_change", Some(id), name)
        },
        Payload::DependencyAdded { from, .. } | Payload::DependencyRemoved { from, .. } => {
            plain("dependency_change", None, from)
        }
        Payload::OptimizationStarted {
            id,
            name,
            renewed: false,
            ..
        } => plain("optimization_started", Some(id), name),
        Payload::OptimizationStopped { id, name, .. } => {
            plain("optimization_stopped", Some(id), name)
        }
        _ => return None,
    })
}
