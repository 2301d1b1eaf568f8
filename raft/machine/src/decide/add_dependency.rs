use std::collections::{BTreeMap, BTreeSet};

use super::{Context, DecideError, Decision, check_access, held_variable, living_session};
use crate::{AddDependency, Answer, Payload, Rejection, Rows, RowsError, RowsExt};

/// How one variable may depend on another: its value comes from the other's; it needs the other to be there;
/// it has to do with it.
pub const DEPENDENCY_KINDS: [&str; 3] = ["derives", "requires", "relates"];

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &AddDependency,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    check_kind(&body.kind)?;
    let from = held_variable(rows, &body.session_id, &body.from)?;
    let to = held_variable(rows, &body.session_id, &body.to)?;
    check_access(context, &from)?;
    let held = from.depends_on.get(&to.name);
    let answer = Answer::Done {
        existed: held.is_some(),
    };
    if held == Some(&body.kind) {
        return Ok(Decision::unchanged(answer));
    }
    if held.is_none() {
        let most = context.limits.dependencies_per_variable_max;
        for (name, count) in [
            (&from.name, from.depends_on.len()),
            (&to.name, to.dependents.len()),
        ] {
            if count as u64 >= most {
                return Err(Rejection::exhausted(format!(
                    "variable {name} has {count} dependencies, the limit dependencies_per_variable_max is {most}; hint: remove some or raise the limit"
                ))
                .into());
            }
        }
        if let Some(path) = path(rows, &body.session_id, &to.name, &from.name)? {
            return Err(cycle(&from.name, &path).into());
        }
    }
    Ok(Decision {
        answer,
        events: vec![Payload::DependencyAdded {
            from: from.name.clone(),
            to: to.name.clone(),
            kind: body.kind.clone(),
        }],
    })
}

pub(super) fn check_kind(kind: &str) -> Result<(), Rejection> {
    if DEPENDENCY_KINDS.contains(&kind) {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "dependency_type is {kind:?}; hint: use one of {}",
        DEPENDENCY_KINDS.join(", ")
    )))
}

pub(super) fn cycle(from: &str, path: &[String]) -> Rejection {
    Rejection::refused(format!(
        "the dependency would close a cycle: {from} -> {}; hint: remove one of these first",
        path.join(" -> ")
    ))
}

/// How `from` depends on `target`, over others; `None` where it does not.
fn path<R: Rows>(
    rows: &R,
    session_id: &str,
    from: &str,
    target: &str,
) -> Result<Option<Vec<String>>, RowsError> {
    let mut came_from: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = BTreeSet::from([from.to_owned()]);
    let mut left = vec![from.to_owned()];
    while let Some(name) = left.pop() {
        if name == target {
            let mut path = vec![name];
            while let Some(before) = path.last().and_then(|last| came_from.get(last)) {
                path.push(before.clone());
            }
            path.reverse();
            return Ok(Some(path));
        }
        let Some(row) = rows.variable_named(session_id, &name)? else {
            continue;
        };
        for next in row.depends_on.keys().cloned() {
            if seen.insert(next.clone()) {
                came_from.insert(next.clone(), name.clone());
                left.push(next);
            }
        }
    }
    Ok(None)
}
