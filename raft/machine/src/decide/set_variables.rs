use std::collections::{BTreeMap, BTreeSet};

use super::seal::Seal;
use super::{
    Context, DecideError, Decision, admit, check_added_metadata, check_metadata, check_version,
    check_write, held_variable, living_session,
};
use crate::{Answer, Payload, Rejection, Rows, SetVariable, SetVariables};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &SetVariables,
) -> Result<Decision, DecideError> {
    let session = living_session(rows, context, &body.session_id)?;
    let seal = Seal::of(rows, &session)?;
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
        match decide_one(rows, context, &seal, body, update, &mut named) {
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
    seal: &Seal,
    body: &SetVariables,
    update: &SetVariable,
    named: &mut BTreeSet<String>,
) -> Result<Payload, DecideError> {
    let held = held_variable(rows, &body.session_id, &update.identifier)?;
    if named.contains(&held.name) {
        return Err(Rejection::invalid(format!(
            "the batch sets variable {} twice; hint: name it once, by id or by name",
            held.name
        ))
        .into());
    }
    named.insert(held.name.clone());
    check_write(context, &held)?;
    check_version(&held, update.expected_version)?;
    let value = update.value.clone().map_err(Rejection::invalid)?;
    seal.check(&value)?;
    let value = admit(
        &held.name,
        &held.type_name,
        &held.constraints_json,
        value,
        context.limits,
    )?;
    check_added_metadata(context, &held.metadata, &body.metadata)?;
    Ok(Payload::VariableSet {
        value,
        metadata: body.metadata.clone(),
        version: held.version + 1,
        past: held.past_of_next(),
        type_name: held.type_name.clone(),
        access_json: held.access_json.clone(),
        id: held.id.clone(),
        name: held.name.clone(),
    })
}
