use std::sync::Arc;

use prost_types::Any;
use snakepit_machine::{Answer, Body, SetVariable, SetVariables, Value};
use snakepit_proto::bridge::{BatchSetVariablesRequest, BatchSetVariablesResponse};
use snakepit_proto::values;
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: BatchSetVariablesRequest,
) -> Result<Response<BatchSetVariablesResponse>, Failure> {
    let mut versions = request.expected_versions;
    let mut binary = request.binary_updates;
    let updates = request.updates.into_iter().map(|(identifier, any)| {
        Ok(SetVariable {
            value: value(Some(&any), &binary.remove(&identifier).unwrap_or_default()),
            expected_version: expected(versions.remove(&identifier).unwrap_or(0))?,
            identifier,
        })
    });
    let updates = updates.collect::<Result<Vec<_>, Failure>>()?;
    if let Some(identifier) = versions.keys().chain(binary.keys()).next() {
        return Err(Failure::Invalid(format!(
            "{identifier} has a version or a payload, but no value; hint: name it in updates as well"
        )));
    }
    let body = SetVariables {
        session_id: request.session_id,
        atomic: request.atomic,
        updates,
        metadata: request.metadata,
    };
    let (index, Answer::VariablesSet { versions, refused }) =
        node.propose(&ask, Body::SetVariables(body)).await?
    else {
        return Err(misfit());
    };
    let response = BatchSetVariablesResponse {
        // Nothing to do is done; otherwise it counts whether anything was applied.
        success: refused.is_empty() || !versions.is_empty(),
        error_kinds: refused
            .iter()
            .map(|(identifier, rejection)| (identifier.clone(), rejection.kind.name().to_owned()))
            .collect(),
        errors: refused
            .into_iter()
            .map(|(identifier, rejection)| (identifier, rejection.message))
            .collect(),
        new_versions: wire::versions(versions),
    };
    Ok(wire::at_index(index, response))
}

/// A value as it was sent, or what is wrong with it.
pub(in crate::services) fn value(any: Option<&Any>, payload: &[u8]) -> Result<Value, String> {
    let any = any.ok_or("the value is missing; hint: send it as an Any with JSON")?;
    values::decode(any, payload).map_err(|bad| bad.0)
}

/// The version that must hold; 0 takes any.
pub(in crate::services) fn expected(version: i32) -> Result<u64, Failure> {
    u64::try_from(version).map_err(|_| {
        Failure::Invalid(format!(
            "expected_version is {version}; hint: versions begin at 1, and 0 takes any"
        ))
    })
}
