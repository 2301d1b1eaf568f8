use super::seal::{Seal, unchecked};
use super::{
    Context, DecideError, Decision, check_id, check_metadata, check_ttl, check_value_size,
    living_session,
};
use crate::{Answer, Payload, PutProgram, Rejection, RejectionKind, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &PutProgram,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    let global = body.session_id.is_empty();
    let mut seal = Seal::Plain;
    let (mut count, most, limit) = if global {
        let head = rows.head()?;
        (
            head.programs,
            limits.global_programs_max,
            "global_programs_max",
        )
    } else {
        let session = living_session(rows, context, &body.session_id)?;
        seal = Seal::of(rows, &session)?;
        (
            session.programs,
            limits.programs_per_session_max,
            "programs_per_session_max",
        )
    };
    check_id("program_id", &body.program_id)?;
    check_metadata(&body.metadata, limits)?;
    check_value_size(&body.program_id, body.value.size_bytes(), limits)?;
    seal.check(&body.value)?;
    if global {
        check_ttl(body.ttl_ms, limits)?;
    } else if body.ttl_ms != 0 {
        return Err(Rejection::invalid(
            "ttl_seconds is for global programs; hint: a session's programs live as long as it does",
        )
        .into());
    }
    let mut events = Vec::with_capacity(2);
    let mut held = rows.program(&body.session_id, &body.program_id)?;
    if let Some(dead) = held.take_if(|held| !held.alive_at(context.time_ms)) {
        count = count.saturating_sub(1);
        events.push(Payload::ProgramExpired {
            deadline_ms: dead.deadline_ms(),
            program_id: dead.id.clone(),
        });
    }
    let version = held.as_ref().map_or(0, |held| held.version);
    if body.expected_version != 0 && body.expected_version != version {
        return Err(Rejection::new(
            RejectionKind::Conflict,
            format!(
                "program {} is at version {version}, not {}; hint: read it again and retry",
                body.program_id, body.expected_version
            ),
        )
        .into());
    }
    if held.is_none() && count >= most {
        return Err(Rejection::exhausted(format!(
            "there are {count} programs, the limit {limit} is {most}; hint: delete programs or raise the limit"
        ))
        .into());
    }
    events.push(Payload::ProgramPut {
        program_id: body.program_id.clone(),
        value: unchecked(body.value.clone()),
        metadata: body.metadata.clone(),
        version: version + 1,
        ttl_ms: body.ttl_ms,
    });
    Ok(Decision {
        answer: Answer::ProgramPut {
            version: version + 1,
        },
        events,
    })
}
