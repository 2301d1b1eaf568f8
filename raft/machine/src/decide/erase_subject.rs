use super::{Context, DecideError, Decision};
use crate::{Answer, EraseSubject, Payload, Rejection, RejectionKind, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    _context: Context<'_>,
    body: &EraseSubject,
) -> Result<Decision, DecideError> {
    match rows.subject(&body.name)? {
        None => Err(Rejection::new(
            RejectionKind::NotFound,
            format!(
                "there is no subject {}; hint: look at the list of subjects",
                body.name
            ),
        )
        .into()),
        Some(held) if held.erased_ms != 0 => {
            Ok(Decision::unchanged(Answer::Done { existed: false }))
        }
        Some(held) => Ok(Decision {
            answer: Answer::Done { existed: true },
            events: vec![Payload::SubjectErased {
                name: held.name,
                key_id: held.key_id,
            }],
        }),
    }
}
