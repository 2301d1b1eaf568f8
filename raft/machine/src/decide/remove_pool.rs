use super::{Context, DecideError, Decision};
use crate::{Answer, Payload, RemovePool, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    _context: Context<'_>,
    body: &RemovePool,
) -> Result<Decision, DecideError> {
    match rows.pool(&body.name)? {
        Some(held) => Ok(Decision {
            answer: Answer::Done { existed: true },
            events: vec![Payload::PoolRemoved {
                name: held.name,
                version: held.version,
            }],
        }),
        None => Ok(Decision::unchanged(Answer::Done { existed: false })),
    }
}
