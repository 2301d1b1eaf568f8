//! Dependencies between variables.

use snakepit_machine::{Answer, DEPENDENCY_KINDS, Payload, RejectionKind, SessionRow, VariableRow};

use crate::support::*;

/// A session with a, b, c and d, at positions 2 to 5.
fn machine() -> Machine {
    let mut machine = Machine::with_session("s");
    for name in ["a", "b", "c", "d"] {
        machine.register(T0, "s", name, 1).outcome.unwrap();
    }
    machine
}

fn with(edges: &[(&str, &str)]) -> Machine {
    let mut machine = machine();
    for (from, to) in edges {
        machine
            .run(T0, depend("s", from, to, "derives"))
            .outcome
            .unwrap();
    }
    machine
}

fn done(existed: bool) -> Answer {
    Answer::Done { existed }
}

fn session(revision: u64) -> SessionRow {
    SessionRow {
        revision,
        variables: 4,
        updates: 4,
        ..new_session("s", T0)
    }
}

fn added(from: &str, to: &str, kind: &str) -> Payload {
    Payload::DependencyAdded {
        from: from.into(),
        to: to.into(),
        kind: kind.into(),
    }
}

#[test]
fn a_dependency_is_one_event_and_both_its_sides() {
    for kind in DEPENDENCY_KINDS {
        let mut machine = machine();
        let did = machine.run(T0 + 5, depend("s", "var_a_2", "b", kind));
        let a = VariableRow {
            depends_on: map(&[("b", kind)]),
            ..new_variable("a", 2, T0, 1)
        };
        let b = VariableRow {
            dependents: map(&[("a", kind)]),
            ..new_variable("b", 3, T0, 1)
        };
        assert_eq!(
            did,
            Did {
                outcome: Ok(done(false)),
                events: vec![event((6, 6, 6), "s", T0 + 5, None, added("a", "b", kind))],
                changes: changed(vec![
                    head(6, T0 + 5, 1),
                    session_row(session(6)),
                    variable_row("s", a),
                    variable_row("s", b),
                ]),
            }
        );
        machine.check_replay();
    }
}

#[test]
fn adding_one_again_changes_its_kind() {
    let mut machine = with(&[("a", "b")]);
    machine
        .run(T0, depend("s", "a", "var_b_3", "derives"))
        .only_answers(done(true));
    // No limit and no cycle is asked again.
    machine.limits.dependencies_per_variable_max = 0;
    let did = machine.run(T0, depend("s", "a", "b", "requires"));
    assert_eq!(did.outcome, Ok(done(true)));
    assert_eq!(did.payloads(), [&added("a", "b", "requires")]);
    assert_eq!(
        machine.variable("s", "a").depends_on,
        map(&[("b", "requires")])
    );
    assert_eq!(
        machine.variable("s", "b").dependents,
        map(&[("a", "requires")])
    );
    machine.check_replay();
}

#[test]
fn a_dependency_that_is_removed_is_gone_on_both_sides() {
    let mut machine = with(&[("a", "b")]);
    let did = machine.run(T0 + 5, undepend("s", "a", "var_b_3"));
    let payload = Payload::DependencyRemoved {
        from: "a".into(),
        to: "b".into(),
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(done(true)),
            events: vec![event((7, 7, 7), "s", T0 + 5, None, payload)],
            changes: changed(vec![
                head(7, T0 + 5, 1),
                session_row(session(7)),
                variable_row("s", new_variable("a", 2, T0, 1)),
                variable_row("s", new_variable("b", 3, T0, 1)),
            ]),
        }
    );
    machine
        .run(T0, undepend("s", "a", "b"))
        .only_answers(done(false));
    machine
        .run(T0, undepend("s", "b", "a"))
        .only_answers(done(false));
    machine.check_replay();
}

#[test]
fn cycles_are_refused_with_their_path() {
    let cycle = |path: &str| {
        format!("the dependency would close a cycle: {path}; hint: remove one of these first")
    };
    for (edges, from, to, path) in [
        (&[][..], "a", "a", "a -> a"),
        (&[("a", "b")], "b", "a", "b -> a -> b"),
        (
            &[("a", "b"), ("b", "c"), ("c", "d")],
            "d",
            "a",
            "d -> a -> b -> c -> d",
        ),
        (
            &[("a", "b"), ("b", "c"), ("a", "d")],
            "c",
            "a",
            "c -> a -> b -> c",
        ),
        (
            &[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")],
            "d",
            "a",
            "d -> a -> c -> d",
        ),
    ] {
        for kind in DEPENDENCY_KINDS {
            with(edges)
                .run(T0, depend("s", from, to, kind))
                .only_refuses(RejectionKind::Refused, &cycle(path));
        }
    }
    // The same two ways to one variable are no cycle.
    let mut machine = with(&[("a", "b"), ("a", "c"), ("b", "d")]);
    machine
        .run(T0, depend("s", "c", "d", "derives"))
        .outcome
        .unwrap();
    // What is removed closes none.
    machine.run(T0, undepend("s", "a", "b")).outcome.unwrap();
    machine
        .run(T0, depend("s", "b", "a", "derives"))
        .outcome
        .unwrap();
}

#[test]
fn both_variables_and_the_kind_must_be_known() {
    let mut machine = machine();
    let refused = [
        (depend("s", "x", "a", "derives"), "Variable not found: x"),
        (depend("s", "a", "x", "derives"), "Variable not found: x"),
        (undepend("s", "x", "a"), "Variable not found: x"),
        (undepend("s", "a", "x"), "Variable not found: x"),
    ];
    for (body, message) in refused {
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::NotFound, message);
    }
    for kind in ["", "Derives", "data"] {
        machine.run(T0, depend("s", "a", "b", kind)).only_refuses(
            RejectionKind::Invalid,
            &format!("dependency_type is {kind:?}; hint: use one of derives, requires, relates"),
        );
    }
}

#[test]
fn a_variable_has_so_many_dependencies_on_each_side() {
    let full = |name: &str| {
        format!(
            "variable {name} has 2 dependencies, the limit dependencies_per_variable_max is 2; hint: remove some or raise the limit"
        )
    };
    let mut machine = with(&[("a", "b"), ("a", "c")]);
    machine.limits.dependencies_per_variable_max = 2;
    machine
        .run(T0, depend("s", "a", "d", "derives"))
        .only_refuses(RejectionKind::Exhausted, &full("a"));
    let mut machine = with(&[("a", "d")]);
    machine.limits.dependencies_per_variable_max = 2;
    machine
        .run(T0, depend("s", "b", "d", "derives"))
        .outcome
        .unwrap();
    machine
        .run(T0, depend("s", "c", "d", "derives"))
        .only_refuses(RejectionKind::Exhausted, &full("d"));
    // The two sides are counted apart.
    machine
        .run(T0, depend("s", "d", "c", "derives"))
        .outcome
        .unwrap();
}

#[test]
fn what_another_requires_cannot_be_deleted() {
    let mut machine = machine();
    for (from, kind) in [("b", "requires"), ("c", "derives"), ("d", "relates")] {
        machine
            .run(T0, depend("s", from, "a", kind))
            .outcome
            .unwrap();
    }
    machine
        .run(T0, delete_variable("s", "var_a_2"))
        .only_refuses(
            RejectionKind::Refused,
            "variable b requires variable a; hint: delete b or remove the dependency first",
        );
    // What requires can go; and with it goes what it required.
    let mut other = machine.clone();
    other.run(T0, delete_variable("s", "b")).outcome.unwrap();
    other.run(T0, delete_variable("s", "a")).outcome.unwrap();
    machine
        .run(T0, depend("s", "b", "a", "relates"))
        .outcome
        .unwrap();
    machine.run(T0, delete_variable("s", "a")).outcome.unwrap();
}

#[test]
fn a_deleted_variable_s_dependencies_go_on_both_sides() {
    let mut machine = with(&[("a", "b"), ("b", "c"), ("b", "d"), ("a", "d")]);
    let did = machine.run(T0, delete_variable("s", "b"));
    let payload = Payload::VariableDeleted {
        id: "var_b_3".into(),
        name: "b".into(),
        version: 1,
        type_name: "integer".into(),
        access_json: String::new(),
    };
    assert_eq!(did.payloads(), [&payload]);
    let a = VariableRow {
        depends_on: map(&[("d", "derives")]),
        ..new_variable("a", 2, T0, 1)
    };
    let d = VariableRow {
        dependents: map(&[("a", "derives")]),
        ..new_variable("d", 5, T0, 1)
    };
    assert_eq!(
        did.changes,
        changed(vec![
            head(10, T0, 1),
            session_row(SessionRow {
                variables: 3,
                ..session(10)
            }),
            (
                snakepit_machine::RowKey::Variable("s".into(), "b".into()),
                None
            ),
            variable_row("s", a),
            variable_row("s", new_variable("c", 4, T0, 1)),
            variable_row("s", d),
        ])
    );
    // One of that name that comes later depends on nothing.
    machine.register(T0, "s", "b", 1).outcome.unwrap();
    assert_eq!(machine.variable("s", "b"), new_variable("b", 11, T0, 1));
    machine.check_replay();
}

#[test]
fn a_new_value_leaves_dependencies_as_they_are() {
    let mut machine = with(&[("a", "b")]);
    machine.register(T0, "s", "b", 2).outcome.unwrap();
    machine
        .run(T0, set("s", true, vec![update("a", int(2))]))
        .outcome
        .unwrap();
    assert_eq!(
        machine.variable("s", "a").depends_on,
        map(&[("b", "derives")])
    );
    assert_eq!(
        machine.variable("s", "b").dependents,
        map(&[("a", "derives")])
    );
}
