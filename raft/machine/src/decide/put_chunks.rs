use super::call::{check_scope, check_size, check_texts};
use super::{Context, DecideError, Decision, check_id};
use crate::{Answer, CHUNKS_PER_BATCH_MAX, CallChunks, Payload, Rejection, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &CallChunks,
) -> Result<Decision, DecideError> {
    check_scope(rows, context, &body.session_id)?;
    check_id("call_id", &body.call_id)?;
    check_texts(&[("of_session", &body.of_session)])?;
    let count = body.chunks.len();
    if !(1..=CHUNKS_PER_BATCH_MAX).contains(&count) {
        return Err(Rejection::invalid(format!(
            "the batch has {count} chunks; hint: put 1 to {CHUNKS_PER_BATCH_MAX} at once"
        ))
        .into());
    }
    let bytes = body.chunks.iter().map(|chunk| chunk.len() as u64).sum();
    check_size("the batch of chunks", bytes, context.limits)?;
    Ok(Decision {
        answer: Answer::CallChunksPut {
            position: context.position,
            first: body.first,
            count: count as u64,
        },
        events: vec![Payload::CallChunksPut {
            of_session: body.of_session.clone(),
            call_id: body.call_id.clone(),
            batch: body.batch,
            first: body.first,
            chunks: body.chunks.clone(),
        }],
    })
}
