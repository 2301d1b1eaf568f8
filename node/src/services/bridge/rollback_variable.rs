use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{Answer, Body, Rejection, RollbackVariable, RowsExt};
use snakepit_proto::bridge::{RollbackVariableRequest, RollbackVariableResponse};
use tonic::Response;

use super::misfit;
use super::set_variables::expected;
use crate::services::{Ask, Failure, Node, history, wire};

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
    let sid = session_id.clone();
    let found = node.read_session(&ask, &session_id, move |state, _, look| {
        let row = state
            .rows()
            .variable(&sid, &identifier)?
            .ok_or_else(|| Rejection::no_variable(&identifier))?;
        look.check(Action::Write, &row)?;
        if target_version > row.version {
            return Err(Failure::Invalid(format!(
                "variable {} has versions 1 to {}, not {target_version}; hint: look at its history",
                row.name, row.version
            )));
        }
        let version = history::find(state, &row, target_version)?;
        let value = version.value().cloned().ok_or_else(misfit)?;
        Ok((row.id, value))
    });
    let (_, (id, value)) = found.await?;
    let body = RollbackVariable {
        session_id: session_id.clone(),
        id: id.clone(),
        target_version,
        value,
        expected_version: expected(request.expected_version)?,
        metadata: request.metadata,
    };
    let (_, Answer::VariablesSet { .. }) = node.propose(&ask, Body::RollbackVariable(body)).await?
    else {
        return Err(misfit());
    };
    let sid = session_id.clone();
    let read = node.read_rows(&ask, &session_id, move |rows, _, look| {
        let row = rows
            .variable(&sid, &id)?
            .ok_or_else(|| Rejection::no_variable(&id))?;
        Ok(wire::variable(row, look))
    });
    let (index, variable) = read.await?;
    Ok(wire::at_index(
        index,
        RollbackVariableResponse {
            success: true,
            variable: Some(variable),
            error_message: String::new(),
        },
    ))
}
