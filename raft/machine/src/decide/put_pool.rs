use super::{Context, DecideError, Decision};
use crate::{
    Answer, Limits, POOL_NAME_BYTES_MAX, Payload, PutPool, Rejection, RejectionKind, Rows, RowsExt,
};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &PutPool,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    check_name(&body.name)?;
    check_definition(body, limits)?;
    let held = rows.pool(&body.name)?;
    let version = held.as_ref().map_or(0, |held| held.version);
    if body.create_only && held.is_some() {
        return Err(Rejection::new(
            RejectionKind::AlreadyExists,
            format!(
                "pool {} exists, at version {version}; hint: give another name, or change it",
                body.name
            ),
        )
        .into());
    }
    if body.expected_version != 0 && body.expected_version != version {
        return Err(Rejection::new(
            RejectionKind::Conflict,
            format!(
                "pool {} is at version {version}, not {}; hint: read it again and retry",
                body.name, body.expected_version
            ),
        )
        .into());
    }
    if held.is_some_and(|held| held.definition_json == body.definition_json) {
        return Ok(Decision::unchanged(Answer::PoolPut { version }));
    }
    if version == 0 {
        check_count(rows.head()?.pools, limits)?;
    }
    let version = version + 1;
    Ok(Decision {
        answer: Answer::PoolPut { version },
        events: vec![Payload::PoolPut {
            name: body.name.clone(),
            definition_json: body.definition_json.clone(),
            version,
        }],
    })
}

fn check_name(name: &str) -> Result<(), Rejection> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=POOL_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{name:?} is no name of a pool; hint: use 1 to {POOL_NAME_BYTES_MAX} of A-Z a-z 0-9 _ -"
    )))
}

fn check_definition(body: &PutPool, limits: &Limits) -> Result<(), Rejection> {
    let bytes = body.definition_json.len() as u64;
    if bytes == 0 {
        return Err(Rejection::invalid(format!(
            "the definition of pool {} is empty; hint: give a JSON object of its settings",
            body.name
        )));
    }
    if bytes > limits.pool_bytes_max {
        return Err(Rejection::invalid(format!(
            "the definition of pool {} has {bytes} bytes, the limit pool_bytes_max is {}; hint: shorten it or raise the limit",
            body.name, limits.pool_bytes_max
        )));
    }
    Ok(())
}

fn check_count(pools: u64, limits: &Limits) -> Result<(), Rejection> {
    if pools >= limits.pools_max {
        return Err(Rejection::exhausted(format!(
            "there are {pools} pools, the limit pools_max is {}; hint: remove pools or raise the limit",
            limits.pools_max
        )));
    }
    Ok(())
}
