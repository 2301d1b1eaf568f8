//! How variables look.

use serde_json::{Value as Json, json};
use snakepit_client::{ChangeCause, Dependency, Lock, Variable};

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, pairs, text_or_none, time};

/// All of a variable.
pub(super) fn record(context: &Context, variable: &Variable) -> Result<(), CliError> {
    let fields = vec![
        ("name", Cell::text(&variable.name)),
        ("id", Cell::text(&variable.id)),
        ("type", Cell::text(&variable.type_name)),
        ("value", Cell::text(variable.value.to_string())),
        ("version", Cell::number(variable.version)),
        ("constraints", text_or_none(&variable.constraints_json)),
        ("access", text_or_none(&variable.access_json)),
        ("metadata", text_or_none(&pairs(&variable.metadata))),
        ("depends on", text_or_none(&told(&variable.dependencies))),
        ("dependents", text_or_none(&told(&variable.dependents))),
        ("locked by", lock(variable.lock.as_ref())),
        ("created", Cell::text(time(variable.created_ms))),
        ("updated", Cell::text(time(variable.updated_ms))),
    ];
    context.output.record(fields, &as_json(variable))
}

/// A variable for programs.
pub(super) fn as_json(variable: &Variable) -> Json {
    let lock = variable.lock.as_ref().map(|lock| {
        json!({
            "optimizer": lock.optimizer_id,
            "config": lock.config,
            "started": time(lock.started_ms),
            "expires": time(lock.expires_ms),
        })
    });
    json!({
        "name": variable.name,
        "id": variable.id,
        "type": variable.type_name,
        "value": variable.value,
        "version": variable.version,
        "constraints": object(&variable.constraints_json),
        "access": object(&variable.access_json),
        "metadata": variable.metadata,
        "dependencies": each(&variable.dependencies),
        "dependents": each(&variable.dependents),
        "lock": lock,
        "created": time(variable.created_ms),
        "updated": time(variable.updated_ms),
    })
}

/// The tool, worker and node through which a change came.
pub(super) fn through(cause: &ChangeCause) -> String {
    let parts = [("tool", &cause.tool), ("worker", &cause.worker)];
    let mut told: Vec<_> = parts
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(what, name)| format!("{what} {name}"))
        .collect();
    if cause.node > 0 {
        told.push(format!("node {}", cause.node));
    }
    told.join(", ")
}

/// A cause for programs.
pub(super) fn cause_json(cause: &ChangeCause) -> Json {
    json!({
        "principal": cause.principal,
        "request_id": cause.request_id,
        "call_id": cause.call_id,
        "tool": cause.tool,
        "worker": cause.worker,
        "node": cause.node,
    })
}

/// JSON text as JSON; `null` where it is empty.
pub(super) fn object(text: &str) -> Json {
    snakepit_machine::json::read(text).unwrap_or(Json::Null)
}

fn lock(lock: Option<&Lock>) -> Cell {
    lock.map_or_else(Cell::none, |lock| {
        Cell::text(format!(
            "{} until {}",
            lock.optimizer_id,
            time(lock.expires_ms)
        ))
    })
}

fn told(dependencies: &[Dependency]) -> String {
    let each = dependencies
        .iter()
        .map(|other| format!("{} ({})", other.variable, other.kind));
    each.collect::<Vec<_>>().join(", ")
}

fn each(dependencies: &[Dependency]) -> Vec<Json> {
    let each = dependencies
        .iter()
        .map(|other| json!({ "variable": other.variable, "kind": other.kind }));
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told() {
        let cause = ChangeCause {
            tool: "train".into(),
            worker: "n2-w1".into(),
            node: 2,
            ..Default::default()
        };
        assert_eq!(through(&cause), "tool train, worker n2-w1, node 2");
        assert_eq!(through(&ChangeCause::default()), "");
    }
}
