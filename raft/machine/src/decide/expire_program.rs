use super::{Context, DecideError, Decision};
use crate::{Answer, ExpireProgram, Payload, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &ExpireProgram,
) -> Result<Decision, DecideError> {
    let held = rows.program("", &body.program_id)?;
    match held.filter(|held| !held.alive_at(context.time_ms)) {
        Some(held) => Ok(Decision {
            answer: Answer::Done { existed: true },
            events: vec![Payload::ProgramExpired {
                deadline_ms: held.deadline_ms(),
                program_id: held.id.clone(),
            }],
        }),
        None => Ok(Decision::unchanged(Answer::Done { existed: false })),
    }
}
