//! What an event changed, for people and for programs.

use serde_json::{Value as Json, json};
use snakepit_machine::{CallRead, CallReads, CallRecord, Payload, Value, json};
use snakepit_proto::values;

use super::super::arguments::human_ms;
use super::super::output::{cut, hex, time};

/// Longest value in a table, in characters.
const VALUE_CHARS: usize = 48;

/// What changed, compactly.
pub(super) fn change(payload: &Payload) -> String {
    let told = |value: &Value| cut(&values::to_json_text(value), VALUE_CHARS);
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

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// All there is to know of what changed.
pub(super) fn json(payload: &Payload) -> Json {
    match payload {
        Payload::SessionCreated {
            metadata,
            ttl_ms,
            config,
            imported_from,
            subject,
        } => json!({
            "metadata": metadata,
            "ttl_ms": ttl_ms,
            "enable_caching": config.enable_caching,
            "cache_ttl_ms": config.cache_ttl_ms,
            "enable_telemetry": config.enable_telemetry,
            "imported_from": imported_from,
            "subject": subject,
        }),
        Payload::SessionTouched | Payload::SessionDeleted => json!({}),
        Payload::SessionExpired { deadline_ms } => json!({ "deadline_ms": deadline_ms }),
        Payload::VariableRegistered {
            id,
            name,
            type_name,
            value,
            constraints_json,
            metadata,
            version,
            access_json,
            ..
        } => json!({
            "id": id,
            "name": name,
            "type": type_name,
            "value": value_json(value),
            "constraints": document(constraints_json),
            "metadata": metadata,
            "version": version,
            "access": document(access_json),
        }),
        Payload::VariableSet {
            id,
            name,
            value,
            metadata,
            version,
            ..
        } => json!({
            "id": id,
            "name": name,
            "value": value_json(value),
            "metadata": metadata,
            "version": version,
        }),
        Payload::VariableRolledBack {
            id,
            name,
            value,
            metadata,
            version,
            target_version,
            ..
        } => json!({
            "id": id,
            "name": name,
            "value": value_json(value),
            "metadata": metadata,
            "version": version,
            "target_version": target_version,
        }),
        Payload::VariableDeleted {
            id, name, version, ..
        } => {
            json!({ "id": id, "name": name, "version": version })
        }
        Payload::VariableAccessSet {
            id,
            name,
            access_json,
        } => json!({ "id": id, "name": name, "access": document(access_json) }),
        Payload::DependencyAdded { from, to, kind } => {
            json!({ "from": from, "to": to, "kind": kind })
        }
        Payload::DependencyRemoved { from, to } => json!({ "from": from, "to": to }),
        Payload::OptimizationStarted {
            id,
            name,
            optimization_id,
            optimizer_id,
            config,
            lease_ms,
            renewed,
        } => json!({
            "id": id,
            "name": name,
            "optimization_id": optimization_id,
            "optimizer_id": optimizer_id,
            "config": config,
            "lease_ms": lease_ms,
            "renewed": renewed,
        }),
        Payload::OptimizationStopped {
            id,
            name,
            optimization_id,
            forced,
        } => json!({
            "id": id,
            "name": name,
            "optimization_id": optimization_id,
            "forced": forced,
        }),
        Payload::ProgramPut {
            program_id,
            value,
            metadata,
            version,
            ttl_ms,
        } => json!({
            "program_id": program_id,
            "value": value_json(value),
            "metadata": metadata,
            "version": version,
            "ttl_ms": ttl_ms,
        }),
        Payload::ProgramDeleted {
            program_id,
            version,
        } => json!({ "program_id": program_id, "version": version }),
        Payload::ProgramExpired {
            program_id,
            deadline_ms,
        } => json!({ "program_id": program_id, "deadline_ms": deadline_ms }),
        Payload::ToolsRegistered { worker_id, tools } => {
            json!({ "worker_id": worker_id, "tools": tools.keys().collect::<Vec<_>>() })
        }
        Payload::PoolPut {
            name,
            definition_json,
            version,
        } => json!({ "name": name, "definition": document(definition_json), "version": version }),
        Payload::PoolRemoved { name, version } => json!({ "name": name, "version": version }),
        Payload::EventsArchived {
            first,
            last,
            root,
            hash,
        } => json!({ "first": first, "last": last, "root": hex(root), "hash": hex(hash) }),
        Payload::SubjectPut { name, key_id } | Payload::SubjectErased { name, key_id } => {
            json!({ "name": name, "key_id": key_id })
        }
        Payload::WorkerBound { pool, node, worker }
        | Payload::WorkerUnbound { pool, worker, node } => {
            json!({ "pool": pool, "node": node, "worker": worker })
        }
        Payload::CallStarted {
            of_session,
            call_id,
            pool,
            tool,
            tool_version,
            idempotency_key,
            arguments,
            arguments_digest,
            deadline_ms,
            attempt,
        } => json!({
            "of_session": of_session,
            "call_id": call_id,
            "pool": pool,
            "tool": tool,
            "tool_version": tool_version,
            "idempotency_key": idempotency_key,
            "arguments": journaled(arguments),
            "arguments_digest": hex(arguments_digest),
            "deadline_ms": deadline_ms,
            "attempt": attempt,
        }),
        Payload::CallEnded {
            of_session,
            call_id,
            pool,
            tool,
            worker,
            node,
            outcome,
            error_type,
            result,
            result_digest,
            duration_us,
            queued_us,
            chunks,
            attempts,
            idempotency_key,
            reads,
        } => json!({
            "of_session": of_session,
            "call_id": call_id,
            "pool": pool,
            "tool": tool,
            "worker": worker,
            "node": node,
            "outcome": outcome,
            "error_type": error_type,
            "result": journaled(result),
            "result_digest": hex(result_digest),
            "duration_us": duration_us,
            "queued_us": queued_us,
            "chunks": chunks,
            "attempts": attempts,
            "idempotency_key": idempotency_key,
            "reads": reads_json(reads),
            "reads_left_out": reads.left_out,
        }),
        Payload::CallChunksPut {
            of_session,
            call_id,
            batch,
            first,
            chunks,
        } => json!({
            "of_session": of_session,
            "call_id": call_id,
            "batch": batch,
            "first": first,
            "chunks": chunks.iter().map(|chunk| bytes_json(chunk)).collect::<Vec<_>>(),
        }),
        Payload::CallsRecorded { calls } => {
            json!({ "calls": calls.iter().map(call_json).collect::<Vec<_>>() })
        }
    }
}

fn call_json(call: &CallRecord) -> Json {
    json!({
        "call_id": call.call_id,
        "session_id": call.session_id,
        "pool": call.pool,
        "tool": call.tool,
        "tool_version": call.tool_version,
        "worker": call.worker,
        "node": call.node,
        "principal": call.principal,
        "request_id": call.request_id,
        "outcome": call.outcome,
        "error_type": call.error_type,
        "arguments_digest": hex(&call.arguments_digest),
        "result_digest": hex(&call.result_digest),
        "started": time(call.started_ms),
        "started_ms": call.started_ms,
        "duration_us": call.duration_us,
        "queued_us": call.queued_us,
        "reads": reads_json(&call.reads),
        "reads_left_out": call.reads.left_out,
    })
}

fn reads_json(reads: &CallReads) -> Json {
    let read = |read: &CallRead| {
        json!({
            "session_id": read.session_id,
            "name": read.name,
            "version": read.version,
        })
    };
    reads.noted.iter().map(read).collect()
}

/// Nothing where it was not journaled.
fn journaled(bytes: &[u8]) -> Json {
    if bytes.is_empty() {
        return Json::Null;
    }
    bytes_json(bytes)
}

fn bytes_json(bytes: &[u8]) -> Json {
    value_json(&Value::Bytes(bytes.to_vec()))
}

fn document(text: &str) -> Json {
    json::read(text).unwrap_or(Json::Null)
}

pub(crate) fn value_json(value: &Value) -> Json {
    json::read(&values::to_json_text(value)).unwrap_or(Json::Null)
}
