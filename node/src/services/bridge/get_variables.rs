use std::collections::BTreeMap;
use std::sync::Arc;

use snakepit_machine::RowsExt;
use snakepit_machine::access::Action;
use snakepit_proto::bridge::{BatchGetVariablesRequest, BatchGetVariablesResponse};
use tonic::Response;

use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: BatchGetVariablesRequest,
) -> Result<Response<BatchGetVariablesResponse>, Failure> {
    let limit = node.settings.limits.batch_variables_max;
    if request.variable_identifiers.len() as u64 > limit {
        return Err(Failure::Invalid(format!(
            "the batch names {} variables, the limit batch_variables_max is {limit}; hint: ask in several batches",
            request.variable_identifiers.len()
        )));
    }
    let session_id = request.session_id;
    let (barrier, _) = node
        .cached_barrier(&ask, &session_id, request.bypass_cache)
        .await?;
    let id = session_id.clone();
    let show = if request.include_metadata {
        wire::variable
    } else {
        wire::bare_variable
    };
    let read = node.read_session_at(&ask, &id, barrier, move |state, _, look| {
        // One moment for all of them.
        state.with_view(|view| {
            let (mut variables, mut missing_variables) = (BTreeMap::new(), Vec::new());
            for identifier in request.variable_identifiers {
                match view.variable(&session_id, &identifier)? {
                    Some(row) => {
                        look.check(Action::Read, &row)?;
                        variables.insert(
                            identifier,
                            show(&session_id, Arc::unwrap_or_clone(row), look)?,
                        );
                    }
                    None => missing_variables.push(identifier),
                }
            }
            Ok(BatchGetVariablesResponse {
                variables,
                missing_variables,
            })
        })
    });
    let (index, response) = read.await?;
    for variable in response.variables.values() {
        ask.note_shown(&id, variable);
    }
    Ok(wire::at_index(index, response))
}
