use super::{Context, DecideError, Decision};
use crate::{Answer, ArchiveEvents, HASH_BYTES, Payload, Rejection, RejectionKind, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &ArchiveEvents,
) -> Result<Decision, DecideError> {
    let archived = rows.head()?.archived;
    if body.last <= archived && body.first <= body.last {
        return Ok(Decision::unchanged(Answer::Done { existed: true }));
    }
    check_range(body, context)?;
    if body.first != archived + 1 {
        return Err(Rejection::new(
            RejectionKind::Conflict,
            format!(
                "events are archived up to {archived}, a segment cannot begin at {}; hint: begin at {}",
                body.first,
                archived + 1
            ),
        )
        .into());
    }
    Ok(Decision {
        answer: Answer::Done { existed: false },
        events: vec![Payload::EventsArchived {
            first: body.first,
            last: body.last,
            root: body.root.clone(),
            hash: body.hash.clone(),
        }],
    })
}

fn check_range(body: &ArchiveEvents, context: Context<'_>) -> Result<(), Rejection> {
    if body.first == 0 || body.first > body.last || body.last >= context.position {
        return Err(Rejection::invalid(format!(
            "events {} to {} cannot be archived, the log has {}; hint: name positions that it has",
            body.first,
            body.last,
            context.position - 1
        )));
    }
    for (name, hash) in [("root", &body.root), ("hash", &body.hash)] {
        if hash.len() != HASH_BYTES {
            return Err(Rejection::invalid(format!(
                "the {name} of a segment has {} bytes, it must have {HASH_BYTES}; hint: let a node make it",
                hash.len()
            )));
        }
    }
    Ok(())
}
