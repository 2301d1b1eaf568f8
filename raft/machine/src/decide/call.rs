//! What the commands that journal calls have in common.

use super::{Context, DecideError, check_id, living_session};
use crate::{
    CALL_EXTRA_BYTES_MAX, CALL_OUTCOMES, CALL_READS_MAX, CallReads, DIGEST_BYTES,
    ERROR_TYPE_BYTES_MAX, ID_BYTES_MAX, Limits, Rejection, Rows,
};

/// Whether the session whose event it will be is there; an empty id stands for none.
pub(super) fn check_scope<R: Rows>(
    rows: &R,
    context: Context<'_>,
    session_id: &str,
) -> Result<(), DecideError> {
    if !session_id.is_empty() {
        living_session(rows, context, session_id)?;
    }
    Ok(())
}

/// Names that every call has.
pub(super) fn check_names(call_id: &str, tool: &str) -> Result<(), Rejection> {
    check_id("call_id", call_id)?;
    check_id("tool", tool)
}

/// Names that may be empty.
pub(super) fn check_texts(texts: &[(&str, &str)]) -> Result<(), Rejection> {
    texts
        .iter()
        .try_for_each(|(field, text)| check_length(field, text, ID_BYTES_MAX))
}

pub(super) fn check_outcome(outcome: &str, error_type: &str) -> Result<(), Rejection> {
    if !CALL_OUTCOMES.contains(&outcome) {
        return Err(Rejection::invalid(format!(
            "{outcome:?} is no outcome of a call; hint: use one of {}",
            CALL_OUTCOMES.join(", ")
        )));
    }
    check_length("error_type", error_type, ERROR_TYPE_BYTES_MAX)
}

pub(super) fn check_digest(field: &str, digest: &[u8]) -> Result<(), Rejection> {
    if digest.is_empty() || digest.len() == DIGEST_BYTES {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{field} has {} bytes; hint: give {DIGEST_BYTES} or none",
        digest.len()
    )))
}

/// What a call had read, as far as it is told.
pub(super) fn check_reads(reads: &CallReads) -> Result<(), Rejection> {
    let count = reads.noted.len();
    if count > CALL_READS_MAX {
        return Err(Rejection::invalid(format!(
            "the call has {count} reads, the limit is {CALL_READS_MAX}; hint: count what is left out"
        )));
    }
    for read in &reads.noted {
        check_id("reads.session_id", &read.session_id)?;
        check_id("reads.name", &read.name)?;
    }
    Ok(())
}

/// Whether arguments, a result or a batch of chunks fit: a large value and what is wrapped around it.
pub(super) fn check_size(field: &str, bytes: u64, limits: &Limits) -> Result<(), Rejection> {
    let bytes_max = limits.value_bytes_max.saturating_add(CALL_EXTRA_BYTES_MAX);
    if bytes > bytes_max {
        return Err(Rejection::invalid(format!(
            "{field} has {bytes} bytes, the limit is {bytes_max}, which is value_bytes_max and {CALL_EXTRA_BYTES_MAX}; hint: send less, or raise the limit"
        )));
    }
    Ok(())
}

fn check_length(field: &str, text: &str, bytes_max: usize) -> Result<(), Rejection> {
    if text.len() > bytes_max {
        return Err(Rejection::invalid(format!(
            "{field} has {} bytes, the limit is {bytes_max}; hint: shorten it",
            text.len()
        )));
    }
    Ok(())
}
