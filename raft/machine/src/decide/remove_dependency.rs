use super::{Context, DecideError, Decision, check_access, held_variable, living_session};
use crate::{Answer, Payload, RemoveDependency, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &RemoveDependency,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    let from = held_variable(rows, &body.session_id, &body.from)?;
    let to = held_variable(rows, &body.session_id, &body.to)?;
    check_access(context, &from)?;
    if !from.depends_on.contains_key(&to.name) {
        return Ok(Decision::unchanged(Answer::Done { existed: false }));
    }
    Ok(Decision {
        answer: Answer::Done { existed: true },
        events: vec![Payload::DependencyRemoved {
            from: from.name.clone(),
            to: to.name.clone(),
        }],
    })
}
