//! What an event changed, for people.

use snakepit_machine::{Payload, Value};
use snakepit_proto::values;

use super::super::super::arguments::human_ms;
use super::super::super::output::{cut, time};

/// Longest value in a table, in characters.
const VALUE_CHARS: usize = 48;

/// What changed, compactly.
pub(in super::super) fn change(payload: &Payload) -> String {
    match payload {
        Payload::SessionCreated {
            metadata,
            ttl_ms,
            imported_from,
            ..
        } => {
            let ttl = format!("ttl {}", human_ms(*ttl_ms));
            let copy = (!imported_from.is_empty()).then(|| format!("copy of {imported_from}"));
            let pairs = metadata.iter().map(|(key, value)| format!("{key}={value}"));
            let pairs: Vec<_> = std::iter::once(ttl).chain(copy).chain(pairs).collect();
            cut(&pairs.join(" "), VALUE_CHARS)
        }
        Payload::SessionTouched | Payload::SessionDeleted => String::new(),
        Payload::SessionExpired { deadline_ms } => format!("at {}", time(*deadline_ms)),
        Payload::VariableRegistered {
            name,
            type_name,
            value,
            version,
            ..
        } => {
            format!("{name}: {type_name} = {} (v{version})", told(value))
        }
        Payload::VariableSet {
            name,
            value,
            version,
            ..
        } => {
            format!("{name} = {} (v{version})", told(value))
        }
        Payload::VariableRolledBack {
            name,
            value,
            version,
            target_version,
            ..
        } => {
            format!(
                "{name} = {} (v{version}, as v{target_version})",
                told(value)
            )
        }
        Payload::VariableDeleted { name, version, .. } => format!("{name} (v{version})"),
        Payload::VariableAccessSet {
            name, access_json, ..
        } => match access_json.as_str() {
            "" => format!("{name}: open to all"),
            rules => cut(&format!("{name}: {rules}"), VALUE_CHARS),
        },
        Payload::DependencyAdded { from, to, kind } => format!("{from} {kind} from {to}"),
        Payload::DependencyRemoved { from, to } => format!("{from} no more from {to}"),
        Payload::OptimizationStarted {
            name,
            optimizer_id,
            lease_ms,
            renewed,
            ..
        } => {
            let renewed = if *renewed { ", renewed" } else { "" };
            format!(
                "{name} by {optimizer_id}, lease {}{renewed}",
                human_ms(*lease_ms)
            )
        }
        Payload::OptimizationStopped { name, forced, .. } => {
            let forced = if *forced { ", forced" } else { "" };
            format!("{name}{forced}")
        }
        Payload::ProgramPut {
            program_id,
            value,
            version,
            ..
        } => format!("{program_id} = {} (v{version})", told(value)),
        Payload::ProgramDeleted {
            program_id,
            version,
        } => format!("{program_id} (v{version})"),
        Payload::ProgramExpired {
            program_id,
            deadline_ms,
        } => format!("{program_id} at {}", time(*deadline_ms)),
        Payload::ToolsRegistered { worker_id, tools } => {
            let names: Vec<_> = tools.keys().map(String::as_str).collect();
            cut(&format!("{worker_id}: {}", names.join(", ")), VALUE_CHARS)
        }
        Payload::PoolPut {
            name,
            definition_json,
            version,
        } => {
            let definition = cut(definition_json, VALUE_CHARS);
            format!("{name} = {definition} (v{version})")
        }
        Payload::PoolRemoved { name, version } => format!("{name} (v{version})"),
        Payload::EventsArchived { first, last, .. } => format!("{first} to {last}"),
        Payload::SubjectPut { name, key_id } => format!("{name} has key {key_id}"),
        Payload::SubjectErased { name, .. } => name.clone(),
        Payload::WorkerBound { pool, node, worker } => {
            format!("{pool} to {worker} of node {node}")
        }
        Payload::WorkerUnbound { pool, worker, .. } => format!("{pool} from {worker}"),
        Payload::CallStarted { tool, call_id, .. } => {
            cut(&format!("{tool} as {call_id}"), VALUE_CHARS)
        }
        Payload::CallEnded {
            tool,
            outcome,
            error_type,
            duration_us,
            ..
        } => {
            let error = match error_type.as_str() {
                "" => String::new(),
                name => format!(" ({name})"),
            };
            let after = human_ms(duration_us.div_ceil(1_000));
            cut(&format!("{tool} {outcome}{error} in {after}"), VALUE_CHARS)
        }
        Payload::CallChunksPut {
            call_id,
            first,
            chunks,
            ..
        } => cut(
            &format!(
                "{} from {first} of {call_id}",
                counted(chunks.len(), "chunk")
            ),
            VALUE_CHARS,
        ),
        Payload::CallsRecorded { calls } => {
            let mut tools: Vec<_> = calls.iter().map(|call| call.tool.as_str()).collect();
            tools.dedup();
            let calls = counted(calls.len(), "call");
            cut(&format!("{calls}: {}", tools.join(", ")), VALUE_CHARS)
        }
    }
}

fn told(value: &Value) -> String {
    // Of a long text the end is cut off anyway, before and after it is quoted.
    if let Value::String(text) = value
        && let Some((end, _)) = text.char_indices().nth(VALUE_CHARS)
    {
        let begin = Value::String(text[..end].to_owned());
        return cut(&values::to_json_text(&begin), VALUE_CHARS);
    }
    cut(&values::to_json_text(value), VALUE_CHARS)
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
