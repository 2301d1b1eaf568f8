use super::seal::Seal;
use super::{
    Context, DecideError, Decision, admit, check_constraints_size, check_id, check_metadata,
    check_write, living_session,
};
use crate::access;
use crate::{Answer, Past, Payload, RegisterVariable, Rejection, RejectionKind, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &RegisterVariable,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    let session = living_session(rows, context, &body.session_id)?;
    check_id("name", &body.name)?;
    check_metadata(&body.metadata, limits)?;
    check_constraints_size(&body.constraints_json, limits)?;
    access::check_document(&body.access_json)?;
    Seal::of(rows, &session)?.check(&body.value)?;
    let value = admit(
        &body.name,
        &body.type_name,
        &body.constraints_json,
        body.value.clone(),
        limits,
    )?;

    let (id, version, past, access_json) = match rows
        .variable_named(&body.session_id, &body.name)?
    {
        Some(held) if held.type_name != body.type_name => {
            return Err(Rejection::new(
                RejectionKind::AlreadyExists,
                format!(
                    "variable {} exists with type {}, not {}; hint: delete it first, or choose another name",
                    body.name, held.type_name, body.type_name
                ),
            )
            .into());
        }
        Some(held) => {
            check_write(context, &held)?;
            let past = held.past_of_next();
            let access_json = if body.access_json.is_empty() {
                held.access_json.clone()
            } else {
                body.access_json.clone()
            };
            (held.id.clone(), held.version + 1, past, access_json)
        }
        None => {
            if session.variables >= limits.variables_per_session_max {
                return Err(Rejection::exhausted(format!(
                    "session {} holds {} variables, the limit variables_per_session_max is {}; hint: delete variables or raise the limit",
                    session.id, session.variables, limits.variables_per_session_max
                ))
                .into());
            }
            let id = format!("var_{}_{}", body.name, context.position);
            (id, 1, Past::default(), body.access_json.clone())
        }
    };
    Ok(Decision {
        answer: Answer::VariableRegistered {
            id: id.clone(),
            version,
        },
        events: vec![Payload::VariableRegistered {
            id,
            name: body.name.clone(),
            type_name: body.type_name.clone(),
            value,
            constraints_json: body.constraints_json.clone(),
            metadata: body.metadata.clone(),
            version,
            access_json,
            past,
        }],
    })
}
