//! What an event changed, for programs.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use snakepit_machine::{CallRead, CallReads, CallRecord, Payload, Value, json};
use snakepit_proto::values;

use super::super::super::output::{hex, time};
use super::super::object::object;

/// All there is to know of what changed: `change` of docs/evidence-format.md.
pub(in super::super) struct Change<'a>(pub &'a Payload);

impl Serialize for Change<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Payload::SessionCreated {
                metadata,
                ttl_ms,
                config,
                imported_from,
                subject,
            } => object!(out, {
                "metadata": metadata,
                "ttl_ms": ttl_ms,
                "enable_caching": config.enable_caching,
                "cache_ttl_ms": config.cache_ttl_ms,
                "enable_telemetry": config.enable_telemetry,
                "imported_from": imported_from,
                "subject": subject,
            }),
            Payload::SessionTouched | Payload::SessionDeleted => object!(out, {}),
            Payload::SessionExpired { deadline_ms } => object!(out, { "deadline_ms": deadline_ms }),
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
            } => object!(out, {
                "id": id,
                "name": name,
                "type": type_name,
                "value": Told(value),
                "constraints": Document(constraints_json),
                "metadata": metadata,
                "version": version,
                "access": Document(access_json),
            }),
            Payload::VariableSet {
                id,
                name,
                value,
                metadata,
                version,
                ..
            } => object!(out, {
                "id": id,
                "name": name,
                "value": Told(value),
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
            } => object!(out, {
                "id": id,
                "name": name,
                "value": Told(value),
                "metadata": metadata,
                "version": version,
                "target_version": target_version,
            }),
            Payload::VariableDeleted {
                id, name, version, ..
            } => {
                object!(out, { "id": id, "name": name, "version": version })
            }
            Payload::VariableAccessSet {
                id,
                name,
                access_json,
            } => object!(out, { "id": id, "name": name, "access": Document(access_json) }),
            Payload::DependencyAdded { from, to, kind } => {
                object!(out, { "from": from, "to": to, "kind": kind })
            }
            Payload::DependencyRemoved { from, to } => object!(out, { "from": from, "to": to }),
            Payload::OptimizationStarted {
                id,
                name,
                optimization_id,
                optimizer_id,
                config,
                lease_ms,
                renewed,
            } => object!(out, {
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
            } => object!(out, {
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
            } => object!(out, {
                "program_id": program_id,
                "value": Told(value),
                "metadata": metadata,
                "version": version,
                "ttl_ms": ttl_ms,
            }),
            Payload::ProgramDeleted {
                program_id,
                version,
            } => object!(out, { "program_id": program_id, "version": version }),
            Payload::ProgramExpired {
                program_id,
                deadline_ms,
            } => object!(out, { "program_id": program_id, "deadline_ms": deadline_ms }),
            Payload::ToolsRegistered { worker_id, tools } => {
                object!(out, { "worker_id": worker_id, "tools": tools.keys().collect::<Vec<_>>() })
            }
            Payload::PoolPut {
                name,
                definition_json,
                version,
            } => {
                object!(out, { "name": name, "definition": Document(definition_json), "version": version })
            }
            Payload::PoolRemoved { name, version } => {
                object!(out, { "name": name, "version": version })
            }
            Payload::EventsArchived {
                first,
                last,
                root,
                hash,
            } => {
                object!(out, { "first": first, "last": last, "root": hex(root), "hash": hex(hash) })
            }
            Payload::SubjectPut { name, key_id } | Payload::SubjectErased { name, key_id } => {
                object!(out, { "name": name, "key_id": key_id })
            }
            Payload::WorkerBound { pool, node, worker }
            | Payload::WorkerUnbound { pool, worker, node } => {
                object!(out, { "pool": pool, "node": node, "worker": worker })
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
            } => object!(out, {
                "of_session": of_session,
                "call_id": call_id,
                "pool": pool,
                "tool": tool,
                "tool_version": tool_version,
                "idempotency_key": idempotency_key,
                "arguments": Journaled(arguments),
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
            } => object!(out, {
                "of_session": of_session,
                "call_id": call_id,
                "pool": pool,
                "tool": tool,
                "worker": worker,
                "node": node,
                "outcome": outcome,
                "error_type": error_type,
                "result": Journaled(result),
                "result_digest": hex(result_digest),
                "duration_us": duration_us,
                "queued_us": queued_us,
                "chunks": chunks,
                "attempts": attempts,
                "idempotency_key": idempotency_key,
                "reads": Reads(reads),
                "reads_left_out": reads.left_out,
            }),
            Payload::CallChunksPut {
                of_session,
                call_id,
                batch,
                first,
                chunks,
            } => object!(out, {
                "of_session": of_session,
                "call_id": call_id,
                "batch": batch,
                "first": first,
                "chunks": chunks.iter().map(|chunk| bytes_json(chunk)).collect::<Vec<_>>(),
            }),
            Payload::CallsRecorded { calls } => {
                object!(out, { "calls": calls.iter().map(Call).collect::<Vec<_>>() })
            }
        }
    }
}

/// A call of a pool that journals outcomes.
struct Call<'a>(&'a CallRecord);

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let call = self.0;
        object!(to, {
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
            "reads": Reads(&call.reads),
            "reads_left_out": call.reads.left_out,
        })
    }
}

/// What a call had read.
struct Reads<'a>(&'a CallReads);

impl Serialize for Reads<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.noted.iter().map(Read))
    }
}

struct Read<'a>(&'a CallRead);

impl Serialize for Read<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let read = self.0;
        object!(to, {
            "session_id": read.session_id,
            "name": read.name,
            "version": read.version,
        })
    }
}

/// What a pool journals of a call, if it does: null where there is nothing.
struct Journaled<'a>(&'a [u8]);

impl Serialize for Journaled<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [] => to.serialize_unit(),
            bytes => bytes_json(bytes).serialize(to),
        }
    }
}

/// JSON that is held as text: null where it is none.
struct Document<'a>(&'a str);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            "" => to.serialize_unit(),
            text => json::read(text).unwrap_or(Json::Null).serialize(to),
        }
    }
}

/// A value, as [`value_json`] has it.
struct Told<'a>(&'a Value);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => to.serialize_str(text),
            value => value_json(value).serialize(to),
        }
    }
}

fn bytes_json(bytes: &[u8]) -> Json {
    value_json(&Value::Bytes(bytes.to_vec()))
}

/// A value as JSON.
pub(crate) fn value_json(value: &Value) -> Json {
    json::read(&values::to_json_text(value)).unwrap_or(Json::Null)
}
