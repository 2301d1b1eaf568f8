use super::call::{check_digest, check_names, check_outcome, check_reads, check_texts};
use super::{Context, DecideError, Decision};
use crate::{
    Answer, CallRecord, Payload, RECORDED_CALLS_MAX, RECORDED_READS_MAX, RecordCalls, Rejection,
    Rows,
};

pub(super) fn decide<R: Rows>(
    _rows: &R,
    _context: Context<'_>,
    body: &RecordCalls,
) -> Result<Decision, DecideError> {
    let answer = Answer::Done { existed: true };
    if body.calls.is_empty() {
        return Ok(Decision::unchanged(answer));
    }
    if body.calls.len() > RECORDED_CALLS_MAX {
        return Err(Rejection::invalid(format!(
            "the record has {} calls, the limit is {RECORDED_CALLS_MAX}; hint: record fewer at once",
            body.calls.len()
        ))
        .into());
    }
    let reads: usize = body.calls.iter().map(|call| call.reads.noted.len()).sum();
    if reads > RECORDED_READS_MAX {
        return Err(Rejection::invalid(format!(
            "the record has {reads} reads, the limit is {RECORDED_READS_MAX}; hint: record fewer calls at once"
        ))
        .into());
    }
    body.calls.iter().try_for_each(check)?;
    Ok(Decision {
        answer,
        events: vec![Payload::CallsRecorded {
            calls: body.calls.clone(),
        }],
    })
}

fn check(call: &CallRecord) -> Result<(), Rejection> {
    check_names(&call.call_id, &call.tool)?;
    check_texts(&[
        ("session_id", &call.session_id),
        ("pool", &call.pool),
        ("tool_version", &call.tool_version),
        ("worker", &call.worker),
        ("principal", &call.principal),
        ("request_id", &call.request_id),
    ])?;
    check_outcome(&call.outcome, &call.error_type)?;
    check_digest("arguments_digest", &call.arguments_digest)?;
    check_digest("result_digest", &call.result_digest)?;
    check_reads(&call.reads)
}
