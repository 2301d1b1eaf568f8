//! The chain of a variable's versions: each event knows two earlier ones, so that any version is near.

use std::collections::BTreeMap;

use snakepit_machine::{Event, Past, Payload};

use crate::support::*;

fn past_of(event: &Event) -> Option<(u64, Past)> {
    match &event.payload {
        Payload::VariableRegistered { version, past, .. }
        | Payload::VariableSet { version, past, .. }
        | Payload::VariableRolledBack { version, past, .. } => Some((*version, *past)),
        _ => None,
    }
}

/// Goes from one version to an earlier one over the links of events alone; the steps that it took.
fn walk(events: &[Event], from: u64, to: u64, newest: u64) -> u32 {
    let at = |position: u64| &events[usize::try_from(position).unwrap() - 1];
    let (mut position, mut version, mut steps) = (newest, from, 0);
    while version > to {
        let (held, past) = past_of(at(position)).unwrap();
        assert_eq!(held, version);
        let skip = version & (version - 1);
        (position, version) = if skip >= to {
            (past.skip, skip)
        } else {
            (past.previous, version - 1)
        };
        steps += 1;
    }
    assert_eq!(past_of(at(position)).unwrap().0, to);
    steps
}

#[test]
fn any_of_2000_versions_is_a_few_steps_away() {
    let mut machine = Machine::with_session("s");
    machine.limits.batch_variables_max = 1;
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    machine.register(T0, "s", "other", 1).outcome.unwrap();
    let id = machine.variable("s", "v").id;
    // Positions of its versions, from the first; other variables' events lie between them.
    let mut positions = vec![2];
    for version in 2..=2_000 {
        let did = match version % 5 {
            0 => machine.register(T0, "s", "v", 2),
            1 => machine.run(T0, rollback("s", &id, version / 2, int(3))),
            _ => machine.run(T0, set("s", true, vec![update("v", int(4))])),
        };
        positions.push(did.events[0].position);
        if version % 3 == 0 {
            machine.register(T0, "s", "other", 1).outcome.unwrap();
        }
        let at = |version: u64| match version {
            0 => 0,
            version => positions[usize::try_from(version).unwrap() - 1],
        };
        let lacking = |version: u64| version & (version - 1);
        let want = past(at(version - 1), at(lacking(version)));
        assert_eq!(past_of(&did.events[0]), Some((version, want)));
        let mut chain = Vec::new();
        let mut left = version;
        while left > 0 {
            chain.push(at(left));
            left = lacking(left);
        }
        assert_eq!(machine.variable("s", "v").chain, chain);
    }
    for newest in [1, 2, 3, 1_023, 1_024, 1_025, 2_000u64] {
        let bits = newest.ilog2() + 1;
        let most = (1..=newest)
            .map(|to| {
                walk(
                    &machine.events,
                    newest,
                    to,
                    positions[usize::try_from(newest).unwrap() - 1],
                )
            })
            .max();
        assert!(most.unwrap() <= bits * (bits + 1) / 2, "{newest}: {most:?}");
    }
    machine.check_replay();
}

#[test]
fn a_variable_that_is_registered_anew_has_a_chain_of_its_own() {
    let mut machine = Machine::with_session("s");
    for _ in 0..5 {
        machine.register(T0, "s", "v", 1).outcome.unwrap();
    }
    assert_eq!(machine.variable("s", "v").chain, [6, 5]);
    machine.run(T0, delete_variable("s", "v")).outcome.unwrap();
    let did = machine.register(T0, "s", "v", 1);
    assert_eq!(past_of(&did.events[0]), Some((1, past(0, 0))));
    assert_eq!(machine.variable("s", "v").chain, [8]);
}

#[test]
fn what_is_no_value_makes_no_version() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    machine.register(T0, "s", "w", 1).outcome.unwrap();
    let before = machine.variable("s", "v");
    for body in [
        set_access("s", "v", "{}"),
        depend("s", "v", "w", "derives"),
        undepend("s", "v", "w"),
        start("s", "v", "o", 1_000),
        stop("s", "v", "", false),
        set_access("s", "v", ""),
    ] {
        let did = machine.run(T0 + 5, body);
        assert_eq!(did.events.len(), 1);
        assert_eq!(past_of(&did.events[0]), None);
    }
    assert_eq!(machine.variable("s", "v"), before);
    assert_eq!(machine.session("s").updates, 2);
}

#[test]
fn who_gave_a_value_is_noted() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    assert!(machine.variable("s", "v").by_tool);
    let did = machine.by("bob", "", T0, set("s", true, vec![update("v", int(2))]));
    assert_eq!(did.events[0].principal.name, "bob");
    assert!(!machine.variable("s", "v").by_tool);
    let versions: BTreeMap<u64, &str> = machine
        .events
        .iter()
        .filter_map(|event| Some((past_of(event)?.0, event.principal.name.as_str())))
        .collect();
    assert_eq!(versions, BTreeMap::from([(1, "ada"), (2, "bob")]));
}
