use super::seal::Seal;
use super::{
    Context, DecideError, Decision, admit, check_added_metadata, check_metadata, check_version,
    check_write, held_variable, living_session,
};
use crate::{Answer, Payload, Rejection, RollbackVariable, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &RollbackVariable,
) -> Result<Decision, DecideError> {
    let session = living_session(rows, context, &body.session_id)?;
    Seal::of(rows, &session)?.check(&body.value)?;
    check_metadata(&body.metadata, context.limits)?;
    let held = held_variable(rows, &body.session_id, &body.id)?;
    // The value belongs to the id: a variable of that name is another one.
    if held.id != body.id {
        return Err(Rejection::no_variable(&body.id).into());
    }
    check_write(context, &held)?;
    check_version(&held, body.expected_version)?;
    if body.target_version == 0 || body.target_version > held.version {
        return Err(Rejection::invalid(format!(
            "variable {} has versions 1 to {}, not {}; hint: look at its history",
            held.name, held.version, body.target_version
        ))
        .into());
    }
    let value = admit(
        &held.name,
        &held.type_name,
        &held.constraints_json,
        body.value.clone(),
        context.limits,
    )?;
    check_added_metadata(context, &held.metadata, &body.metadata)?;
    let version = held.version + 1;
    Ok(Decision {
        answer: Answer::VariableRolledBack {
            version,
            position: context.position,
        },
        events: vec![Payload::VariableRolledBack {
            value,
            metadata: body.metadata.clone(),
            version,
            target_version: body.target_version,
            past: held.past_of_next(),
            type_name: held.type_name.clone(),
            access_json: held.access_json.clone(),
            id: held.id.clone(),
            name: held.name.clone(),
        }],
    })
}
