//! Earlier versions of a variable, found in the event log by the links that its events carry.

use std::io;

use snakepit_machine::{Event, Past, Payload, Value, VariableRow};
use snakepit_storage::StateStore;

/// A version of a variable: the event that made it, read from the log.
pub(super) struct Version {
    pub event: Event,
}

impl Version {
    /// The version that the event at a position made.
    pub fn read(state: &StateStore, position: u64) -> io::Result<Self> {
        let stored = state.event(position)?;
        let event = snakepit_proto::events::decode(&stored.bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match &event.payload {
            Payload::VariableRegistered { .. }
            | Payload::VariableSet { .. }
            | Payload::VariableRolledBack { .. } => Ok(Self { event }),
            other => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "event {position} is {} and no version of a variable",
                    other.name()
                ),
            )),
        }
    }

    /// Its number, and where earlier ones are.
    pub fn number(&self) -> (u64, Past) {
        match &self.event.payload {
            Payload::VariableRegistered { version, past, .. }
            | Payload::VariableSet { version, past, .. }
            | Payload::VariableRolledBack { version, past, .. } => (*version, *past),
            _ => (0, Past::default()),
        }
    }

    /// The variable's type.
    pub fn type_name(&self) -> &str {
        match &self.event.payload {
            Payload::VariableRegistered { type_name, .. }
            | Payload::VariableSet { type_name, .. }
            | Payload::VariableRolledBack { type_name, .. } => type_name,
            _ => "",
        }
    }

    /// The variable's name.
    pub fn name(&self) -> &str {
        match &self.event.payload {
            Payload::VariableRegistered { name, .. }
            | Payload::VariableSet { name, .. }
            | Payload::VariableRolledBack { name, .. } => name,
            _ => "",
        }
    }

    /// The value that it gave the variable.
    pub fn value(&self) -> Option<&Value> {
        match &self.event.payload {
            Payload::VariableRegistered { value, .. }
            | Payload::VariableSet { value, .. }
            | Payload::VariableRolledBack { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// Find a version from 1 to that of the row: in a number of steps that grows with the logarithm of the
/// versions passed over.
pub(super) fn find(state: &StateStore, row: &VariableRow, target: u64) -> io::Result<Version> {
    let Some(mut position) = start(row, target) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("variable {} has no version {target}", row.name),
        ));
    };
    loop {
        let version = Version::read(state, position)?;
        let (number, past) = version.number();
        if number == target {
            return Ok(version);
        }
        let skipped_to = number & number.wrapping_sub(1);
        position = if skipped_to >= target {
            past.skip
        } else {
            past.previous
        };
        if number < target || position == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("version {target} of variable {} is not linked", row.name),
            ));
        }
    }
}

/// Versions from one downwards, the newest first, until there are `limit` or their events have `bytes_max` bytes.
pub(super) fn downwards(
    state: &StateStore,
    row: &VariableRow,
    from: u64,
    limit: usize,
    bytes_max: u64,
) -> io::Result<Vec<Version>> {
    let mut found = Vec::new();
    if from == 0 || limit == 0 {
        return Ok(found);
    }
    let mut bytes = 0;
    let mut next = find(state, row, from.min(row.version))?;
    loop {
        let (_, past) = next.number();
        bytes += next.value().map_or(0, Value::size_bytes) + 64;
        found.push(next);
        if past.previous == 0 || found.len() == limit || bytes >= bytes_max {
            return Ok(found);
        }
        next = Version::read(state, past.previous)?;
    }
}

/// The lowest version of the row's chain that is not below the target.
fn start(row: &VariableRow, target: u64) -> Option<u64> {
    if target == 0 || target > row.version {
        return None;
    }
    let mut version = row.version;
    let mut found = None;
    for position in &row.chain {
        if version < target {
            break;
        }
        found = Some(*position);
        version &= version.wrapping_sub(1);
    }
    found
}
