use super::{Context, DecideError, Decision, check_id};
use crate::{Answer, KEY_ID_BYTES, Payload, PutSubject, Rejection, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &PutSubject,
) -> Result<Decision, DecideError> {
    check_id("subject", &body.name)?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if body.key_id.len() != KEY_ID_BYTES || !body.key_id.bytes().all(hex) {
        return Err(Rejection::invalid(format!(
            "{:?} is not the id of a key; hint: let a node make it",
            body.key_id
        ))
        .into());
    }
    if rows.subject(&body.name)?.is_some() {
        return Ok(Decision::unchanged(Answer::Done { existed: true }));
    }
    let subjects = rows.head()?.subjects;
    if subjects >= context.limits.subjects_max {
        return Err(Rejection::exhausted(format!(
            "there are {subjects} subjects, the limit subjects_max is {}; hint: raise the limit",
            context.limits.subjects_max
        ))
        .into());
    }
    Ok(Decision {
        answer: Answer::Done { existed: false },
        events: vec![Payload::SubjectPut {
            name: body.name.clone(),
            key_id: body.key_id.clone(),
        }],
    })
}
