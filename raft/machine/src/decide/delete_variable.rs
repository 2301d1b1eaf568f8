use super::{Context, DecideError, Decision, living_session};
use crate::{Answer, DeleteVariable, Payload, Rejection, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &DeleteVariable,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    let held = rows
        .variable(&body.session_id, &body.identifier)?
        .ok_or_else(|| Rejection::no_variable(&body.identifier))?;
    Ok(Decision {
        answer: Answer::VariableDeleted,
        events: vec![Payload::VariableDeleted {
            id: held.id,
            name: held.name,
            version: held.version,
        }],
    })
}
