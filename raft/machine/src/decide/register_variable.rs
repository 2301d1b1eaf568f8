use super::{
    Context, DecideError, Decision, check_id, check_metadata, check_value_size, living_session,
};
use crate::types::{self, Constraints};
use crate::{Answer, Payload, RegisterVariable, Rejection, RejectionKind, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &RegisterVariable,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    let session = living_session(rows, context, &body.session_id)?;
    check_id("name", &body.name)?;
    check_metadata(&body.metadata, limits)?;
    let kind = types::by_name(&body.type_name)?;
    if body.constraints_json.len() as u64 > limits.constraints_bytes_max {
        return Err(Rejection::invalid(format!(
            "constraints_json has {} bytes, the limit constraints_bytes_max is {}; hint: shorten it",
            body.constraints_json.len(),
            limits.constraints_bytes_max
        ))
        .into());
    }
    let constraints = Constraints::parse(&body.constraints_json)?;
    check_value_size(&body.name, body.value.size_bytes(), limits)?;
    let value = types::admit(kind, body.value.clone(), &constraints)?;

    let (id, version) = match rows.variable_named(&body.session_id, &body.name)? {
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
        Some(held) => (held.id, held.version + 1),
        None => {
            if session.variables >= limits.variables_per_session_max {
                return Err(Rejection::exhausted(format!(
                    "session {} holds {} variables, the limit variables_per_session_max is {}; hint: delete variables or raise the limit",
                    session.id, session.variables, limits.variables_per_session_max
                ))
                .into());
            }
            (format!("var_{}_{}", body.name, context.position), 1)
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
        }],
    })
}
