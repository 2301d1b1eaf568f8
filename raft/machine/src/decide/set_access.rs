use super::{Context, DecideError, Decision, check_access, held_variable, living_session};
use crate::{Answer, Payload, Rows, SetAccess, access};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &SetAccess,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    access::check_document(&body.access_json)?;
    let held = held_variable(rows, &body.session_id, &body.identifier)?;
    check_access(context, &held)?;
    let answer = Answer::Done {
        existed: !held.access_json.is_empty(),
    };
    if held.access_json == body.access_json {
        return Ok(Decision::unchanged(answer));
    }
    Ok(Decision {
        answer,
        events: vec![Payload::VariableAccessSet {
            id: held.id.clone(),
            name: held.name.clone(),
            access_json: body.access_json.clone(),
        }],
    })
}
