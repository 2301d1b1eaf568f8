use std::io;
use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{Answer, Body, Payload, Rejection, RollbackVariable, RowsExt, Value};
use snakepit_proto::bridge::{self, RollbackVariableRequest, RollbackVariableResponse};
use snakepit_proto::times;
use snakepit_storage::StateStore;
use tonic::Response;

use super::misfit;
use super::set_variables::expected;
use crate::services::history::{self, Version};
use crate::services::wire::Look;
use crate::services::{Ask, Failure, Node, wire};

/// The old value is read here and travels with the command: what a version holds never changes.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: RollbackVariableRequest,
) -> Result<Response<RollbackVariableResponse>, Failure> {
    let session_id = request.session_id;
    let identifier = request.variable_identifier;
    let target_version = match u64::try_from(request.target_version) {
        Ok(version) if version > 0 => version,
        _ => {
            return Err(Failure::Invalid(format!(
                "target_version is {}; hint: versions begin at 1, see the variable's history",
                request.target_version
            )));
        }
    };
    let answered = match node.kept_answer(&ask, &session_id).await? {
        Some(kept) => kept,
        None => {
            let sid = session_id.clone();
            let found = node.read_session(&ask, &session_id, move |state, _, look| {
                old_value(state, &sid, &identifier, target_version, look)
            });
            let (_, (id, value)) = found.await?;
            let body = RollbackVariable {
                session_id: session_id.clone(),
                id,
                target_version,
                value,
                expected_version: expected(request.expected_version)?,
                metadata: request.metadata,
            };
            node.propose(&ask, Body::RollbackVariable(body)).await?
        }
    };
    let (index, Answer::VariableRolledBack { position, .. }) = answered else {
        return Err(misfit());
    };
    node.applied(&ask, index).await?;
    let look = ask.look(0);
    let variable = node
        .blocking(move |state| Ok(made(state, &session_id, position, &look)))
        .await??;
    Ok(wire::at_index(
        index,
        RollbackVariableResponse {
            success: true,
            variable: Some(variable),
            error_message: String::new(),
        },
    ))
}

/// The variable's id, and the value that a version had.
fn old_value(
    state: &StateStore,
    session_id: &str,
    identifier: &str,
    target_version: u64,
    look: &Look,
) -> Result<(String, Value), Failure> {
    let row = state
        .rows()
        .variable(session_id, identifier)?
        .ok_or_else(|| Rejection::no_variable(identifier))?;
    look.check(Action::Write, &row)?;
    if target_version > row.version {
        return Err(Failure::Invalid(format!(
            "variable {} has versions 1 to {}, not {target_version}; hint: look at its history",
            row.name, row.version
        )));
    }
    let version = history::find(state, &row, target_version)?;
    let value = version.value().cloned().ok_or_else(misfit)?;
    Ok((row.id.clone(), value))
}

/// The variable as the event of the rollback tells it: the same however often it is asked, whatever has become
/// of the variable since.
fn made(
    state: &StateStore,
    session_id: &str,
    position: u64,
    look: &Look,
) -> Result<bridge::Variable, Failure> {
    let version = Version::read(state, position)?;
    let by_tool = !version.event.cause.call_id.is_empty();
    let Payload::VariableRolledBack {
        id,
        name,
        value,
        metadata,
        version: number,
        type_name,
        access_json,
        ..
    } = version.event.payload
    else {
        let message = format!("event {position} is no rollback");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
    };
    let (value, payload) = wire::value(session_id, &name, &value, &type_name, look)?;
    Ok(bridge::Variable {
        value: Some(value),
        binary_value: payload.into(),
        version: wire::version(number),
        source: wire::source(&metadata, by_tool).into(),
        last_updated_at: Some(times::timestamp(version.event.time_ms)),
        access_control_json: access_json,
        r#type: type_name,
        id,
        name,
        metadata,
        ..bridge::Variable::default()
    })
}
