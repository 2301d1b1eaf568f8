use super::{Context, DecideError, Decision, living_session};
use crate::{Answer, DeleteProgram, Payload, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &DeleteProgram,
) -> Result<Decision, DecideError> {
    if !body.session_id.is_empty() {
        living_session(rows, context, &body.session_id)?;
    }
    let held = rows.program(&body.session_id, &body.program_id)?;
    match held.filter(|held| held.alive_at(context.time_ms)) {
        Some(held) => Ok(Decision {
            answer: Answer::Done { existed: true },
            events: vec![Payload::ProgramDeleted {
                program_id: held.id.clone(),
                version: held.version,
            }],
        }),
        None => Ok(Decision::unchanged(Answer::Done { existed: false })),
    }
}
