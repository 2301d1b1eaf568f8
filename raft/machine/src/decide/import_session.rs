use std::collections::{BTreeMap, BTreeSet};

use super::add_dependency::{check_kind, cycle};
use super::seal::{self, Seal};
use super::{
    Context, DecideError, Decision, admit, check_constraints_size, check_id, check_metadata,
    check_sessions, check_ttl, check_value_size,
};
use crate::{
    Answer, ImportSession, Limits, Past, Payload, Rejection, RejectionKind, Rows, RowsExt, access,
};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &ImportSession,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    check_id("session_id", &body.session_id)?;
    if !body.imported_from.is_empty() {
        check_id("imported_from", &body.imported_from)?;
    }
    check_metadata(&body.metadata, limits)?;
    check_ttl(body.ttl_ms, limits)?;
    seal::check_prefix(&body.session_id, &body.subject)?;
    check_counts(body, limits)?;
    let mut events = Vec::with_capacity(2 + body.variables.len() + body.programs.len());
    let mut sessions = rows.head()?.sessions;
    if let Some(session) = rows.session(&body.session_id)? {
        if session.alive_at(context.time_ms) {
            return Err(Rejection::new(
                RejectionKind::AlreadyExists,
                format!(
                    "session {} exists; hint: import under another id, or delete it first",
                    body.session_id
                ),
            )
            .into());
        }
        events.push(Payload::SessionExpired {
            deadline_ms: session.deadline_ms(),
        });
        sessions = sessions.saturating_sub(1);
    }
    check_sessions(sessions, limits)?;
    events.push(Payload::SessionCreated {
        metadata: body.metadata.clone(),
        ttl_ms: body.ttl_ms,
        config: body.config,
        imported_from: body.imported_from.clone(),
        subject: body.subject.clone(),
    });
    let seal = Seal::named(rows, &body.subject)?;
    for name in body.variables.keys() {
        let position = context.position + events.len() as u64;
        seal.check(&body.variables[name].value)?;
        events.push(registered(body, name, position, limits)?);
    }
    check_acyclic(body)?;
    for (from, variable) in &body.variables {
        for (to, kind) in &variable.depends_on {
            check_kind(kind)?;
            events.push(Payload::DependencyAdded {
                from: from.clone(),
                to: to.clone(),
                kind: kind.clone(),
            });
        }
    }
    for (program_id, program) in &body.programs {
        check_id("program_id", program_id)?;
        check_metadata(&program.metadata, limits)?;
        check_value_size(program_id, program.value.size_bytes(), limits)?;
        seal.check(&program.value)?;
        events.push(Payload::ProgramPut {
            program_id: program_id.clone(),
            value: seal::unchecked(program.value.clone()),
            metadata: program.metadata.clone(),
            version: 1,
            ttl_ms: 0,
        });
    }
    Ok(Decision {
        answer: Answer::SessionImported {
            variables: body.variables.len() as u64,
            programs: body.programs.len() as u64,
        },
        events,
    })
}

fn registered(
    body: &ImportSession,
    name: &str,
    position: u64,
    limits: &Limits,
) -> Result<Payload, Rejection> {
    let variable = &body.variables[name];
    let named = |rejection: Rejection| {
        Rejection::new(
            rejection.kind,
            format!("variable {name}: {}", rejection.message),
        )
    };
    check_id("name", name)?;
    check_metadata(&variable.metadata, limits).map_err(named)?;
    check_constraints_size(&variable.constraints_json, limits).map_err(named)?;
    access::check_document(&variable.access_json).map_err(named)?;
    let value = admit(
        name,
        &variable.type_name,
        &variable.constraints_json,
        variable.value.clone(),
        limits,
    );
    // What is too large is named as it is.
    let value = value.map_err(
        |rejection| match rejection.message.contains("value_bytes_max") {
            true => rejection,
            false => named(rejection),
        },
    )?;
    Ok(Payload::VariableRegistered {
        id: format!("var_{name}_{position}"),
        name: name.to_owned(),
        type_name: variable.type_name.clone(),
        value,
        constraints_json: variable.constraints_json.clone(),
        metadata: variable.metadata.clone(),
        version: 1,
        access_json: variable.access_json.clone(),
        past: Past::default(),
    })
}

fn check_counts(body: &ImportSession, limits: &Limits) -> Result<(), Rejection> {
    let mut dependents: BTreeMap<&str, usize> = BTreeMap::new();
    for to in body
        .variables
        .values()
        .flat_map(|each| each.depends_on.keys())
    {
        *dependents.entry(to).or_default() += 1;
    }
    let depends_on = body.variables.values().map(|each| each.depends_on.len());
    let most_dependencies = depends_on
        .chain(dependents.into_values())
        .max()
        .unwrap_or(0);
    for (what, count, limit, most) in [
        (
            "variables",
            body.variables.len(),
            "variables_per_session_max",
            limits.variables_per_session_max,
        ),
        (
            "programs",
            body.programs.len(),
            "programs_per_session_max",
            limits.programs_per_session_max,
        ),
        (
            "dependencies of one variable",
            most_dependencies,
            "dependencies_per_variable_max",
            limits.dependencies_per_variable_max,
        ),
    ] {
        if count as u64 > most {
            return Err(Rejection::exhausted(format!(
                "the export has {count} {what}, the limit {limit} is {most}; hint: raise the limit"
            )));
        }
    }
    Ok(())
}

/// Peels off variables that depend on nothing that is left; what cannot be peeled is on a cycle.
fn check_acyclic(body: &ImportSession) -> Result<(), Rejection> {
    for (from, variable) in &body.variables {
        if let Some(to) = variable
            .depends_on
            .keys()
            .find(|to| !body.variables.contains_key(*to))
        {
            return Err(Rejection::invalid(format!(
                "variable {from} depends on {to}, which the export does not hold; hint: export the session again"
            )));
        }
    }
    let mut finished = BTreeSet::new();
    for start in body.variables.keys() {
        if finished.contains(start.as_str()) {
            continue;
        }
        // Depth first, without recursion: a name comes back once all that it depends on is done.
        let mut stack = vec![(start.as_str(), false)];
        let mut on_path = BTreeSet::new();
        while let Some((name, done)) = stack.pop() {
            if done {
                on_path.remove(name);
                finished.insert(name);
                continue;
            }
            if finished.contains(name) || !on_path.insert(name) {
                continue;
            }
            stack.push((name, true));
            for next in body.variables[name].depends_on.keys() {
                if on_path.contains(next.as_str()) {
                    return Err(cycle(name, std::slice::from_ref(next)));
                }
                if !finished.contains(next.as_str()) {
                    stack.push((next, false));
                }
            }
        }
    }
    Ok(())
}
