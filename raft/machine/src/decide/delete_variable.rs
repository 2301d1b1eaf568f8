use super::{Context, DecideError, Decision, check_write, held_variable, living_session};
use crate::{Answer, DeleteVariable, Payload, Rejection, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &DeleteVariable,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    let held = held_variable(rows, &body.session_id, &body.identifier)?;
    check_write(context, &held)?;
    let required = held.dependents.iter().find(|(_, kind)| *kind == "requires");
    if let Some((dependent, _)) = required {
        return Err(Rejection::refused(format!(
            "variable {dependent} requires variable {}; hint: delete {dependent} or remove the dependency first",
            held.name
        ))
        .into());
    }
    Ok(Decision {
        answer: Answer::VariableDeleted,
        events: vec![Payload::VariableDeleted {
            id: held.id.clone(),
            name: held.name.clone(),
            version: held.version,
            type_name: held.type_name.clone(),
            access_json: held.access_json.clone(),
        }],
    })
}
