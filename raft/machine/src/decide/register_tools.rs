use super::{Context, DecideError, Decision, living_session};
use crate::{
    Answer, Payload, RegisterTools, Rejection, RejectionKind, Rows, RowsExt, WORKER_ID_BYTES_MAX,
};

/// Longest name of a registered tool, in bytes.
const NAME_BYTES_MAX: usize = 64;

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &RegisterTools,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    let session = living_session(rows, context, &body.session_id)?;
    if body.worker_id.len() > WORKER_ID_BYTES_MAX {
        return Err(Rejection::invalid(format!(
            "worker_id has {} bytes, the limit is {WORKER_ID_BYTES_MAX}; hint: shorten it",
            body.worker_id.len()
        ))
        .into());
    }
    let (mut added, mut changed) = (0, false);
    for (name, spec) in &body.tools {
        check_name(name)?;
        if spec.len() as u64 > limits.value_bytes_max {
            return Err(Rejection::invalid(format!(
                "tool {name} has {} bytes, the limit value_bytes_max is {}; hint: shorten its description",
                spec.len(),
                limits.value_bytes_max
            ))
            .into());
        }
        match rows.tool(&session.id, name)? {
            Some(held) if held.worker_id != body.worker_id => {
                return Err(Rejection::new(
                    RejectionKind::AlreadyExists,
                    format!(
                        "duplicate_tool: {name} is registered by worker {}; hint: give it another name",
                        held.worker_id
                    ),
                )
                .into());
            }
            Some(held) => changed |= held.spec != *spec,
            None => added += 1,
        }
    }
    if session.tools + added > limits.tools_per_session_max {
        return Err(Rejection::exhausted(format!(
            "session {} would have {} tools, the limit tools_per_session_max is {}; hint: register fewer or raise the limit",
            session.id,
            session.tools + added,
            limits.tools_per_session_max
        ))
        .into());
    }
    let answer = Answer::Done {
        existed: added == 0,
    };
    if added == 0 && !changed {
        return Ok(Decision::unchanged(answer));
    }
    Ok(Decision {
        answer,
        events: vec![Payload::ToolsRegistered {
            worker_id: body.worker_id.clone(),
            tools: body.tools.clone(),
        }],
    })
}

/// Snakepit's rule: `^[A-Za-z0-9][A-Za-z0-9_.-]*$`, 64 bytes at most.
fn check_name(name: &str) -> Result<(), Rejection> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let good = name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(plain);
    if good {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{name:?} is no name of a tool; hint: use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
    )))
}
