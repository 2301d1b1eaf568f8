use std::collections::{BTreeMap, BTreeSet};

use super::{Context, DecideError, Decision, check_metadata, check_value_size, living_session};
use crate::types::{self, Constraints};
use crate::{
    Answer, Payload, Rejection, RejectionKind, Rows, RowsExt, SetVariable, SetVariables,
    VariableRow,
};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &SetVariables,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    check_metadata(&body.metadata, context.limits)?;
    if body.updates.len() as u64 > context.limits.batch_variables_max {
        return Err(Rejection::invalid(format!(
            "the batch sets {} variables, the limit batch_variables_max is {}; hint: send several batches",
            body.updates.len(),
            context.limits.batch_variables_max
        ))
        .into());
    }

    let mut versions = BTreeMap::new();
    let mut refused = BTreeMap::new();
    let mut events = Vec::with_capacity(body.updates.len());
    let mut named = BTreeSet::new();
    for update in &body.updates {
        match decide_one(rows, context, body, update, &mut named) {
            Ok(event) => {
                if let Payload::VariableSet { version, .. } = &event {
                    versions.insert(update.identifier.clone(), *version);
                }
                events.push(event);
            }
            Err(DecideError::Rejected(rejection)) => {
                refused.insert(update.identifier.clone(), rejection);
            }
            Err(error) => return Err(error),
        }
    }
    if body.atomic && !refused.is_empty() {
        versions.clear();
        events.clear();
    }
    Ok(Decision {
        answer: Answer::VariablesSet { versions, refused },
        events,
    })
}

fn decide_one<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &SetVariables,
    update: &SetVariable,
    named: &mut BTreeSet<String>,
) -> Result<Payload, DecideError> {
    let held = rows
        .variable(&body.session_id, &update.identifier)?
        .ok_or_else(|| Rejection::no_variable(&update.identifier))?;
    if named.contains(&held.name) {
        return Err(Rejection::invalid(format!(
            "the batch sets variable {} twice; hint: name it once, by id or by name",
            held.name
        ))
        .into());
    }
    named.insert(held.name.clone());
    check_version(&held, update.expected_version)?;
    let value = update.value.clone().map_err(Rejection::invalid)?;
    check_value_size(&held.name, value.size_bytes(), context.limits)?;
    let constraints = Constraints::parse(&held.constraints_json)?;
    let value = types::admit(types::by_name(&held.type_name)?, value, &constraints)?;
    let mut metadata = held.metadata;
    metadata.extend(body.metadata.clone());
    check_metadata(&metadata, context.limits)?;
    Ok(Payload::VariableSet {
        id: held.id,
        name: held.name,
        value,
        metadata: body.metadata.clone(),
        version: held.version + 1,
    })
}

fn check_version(held: &VariableRow, expected: u64) -> Result<(), Rejection> {
    if expected != 0 && expected != held.version {
        return Err(Rejection::new(
            RejectionKind::Conflict,
            format!(
                "variable {} is at version {}, not {expected}; hint: read it again and retry",
                held.name, held.version
            ),
        ));
    }
    Ok(())
}
