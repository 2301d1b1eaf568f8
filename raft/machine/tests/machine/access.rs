//! Access rules: which commands ask them, and what they let through.

use std::collections::BTreeMap;

use snakepit_machine::{
    ACCESS_BYTES_MAX, Answer, Body, Command, Payload, RegisterVariable, Rejection, RejectionKind,
    SessionRow, VariableRow, access,
};

use crate::support::*;

const BOB: &str = r#"{"write":{"principals":["bob"],"tools":["tune*"]}}"#;
const DENIED: &str = "principal \"eve\" may not write variable v; hint: ask its owner for access, see access_control_json";

fn register_with(access_json: &str, value: i64) -> Body {
    let Body::RegisterVariable(body) = register("s", "v", "integer", int(value)) else {
        unreachable!()
    };
    Body::RegisterVariable(RegisterVariable {
        access_json: access_json.into(),
        ..body
    })
}

/// A session with v = 1, which bob and the tune tools may write, and w, which everybody may.
fn machine() -> Machine {
    let mut machine = Machine::with_session("s");
    machine.run(T0, register_with(BOB, 1)).outcome.unwrap();
    machine.register(T0, "s", "w", 1).outcome.unwrap();
    machine
}

fn done(existed: bool) -> Answer {
    Answer::Done { existed }
}

#[test]
fn every_change_of_a_variable_needs_write() {
    let commands = [
        register_with("", 2),
        register_with("{}", 2),
        delete_variable("s", "v"),
        rollback("s", "var_v_2", 1, int(1)),
        set_access("s", "v", ""),
        depend("s", "v", "w", "derives"),
        start("s", "v", "o", 1_000),
        stop("s", "v", "", true),
        undepend("s", "v", "w"),
    ];
    for body in commands {
        machine()
            .by("eve", "", T0, body.clone())
            .only_refuses(RejectionKind::Denied, DENIED);
        assert!(machine().by("bob", "", T0, body).outcome.is_ok());
    }
    let denied = Answer::VariablesSet {
        versions: BTreeMap::new(),
        refused: BTreeMap::from([(
            "v".to_owned(),
            Rejection::new(RejectionKind::Denied, DENIED),
        )]),
    };
    let both = || vec![update("v", int(2)), update("w", int(2))];
    machine()
        .by("eve", "", T0, set("s", true, both()))
        .only_answers(denied);
    let mut machine = machine();
    let did = machine.by("eve", "", T0, set("s", false, both()));
    assert_eq!(did.events.len(), 1);
    assert_eq!(machine.variable("s", "v").value, int(1));
    // A dependency is the dependent one's.
    let did = machine.by("eve", "", T0, depend("s", "w", "v", "derives"));
    assert_eq!(did.outcome, Ok(done(false)));
    // Whoever ends the session ends its variables.
    let did = machine.by("eve", "", T0, delete("s"));
    assert_eq!(did.payloads(), [&Payload::SessionDeleted]);
}

#[test]
fn tools_and_nobody_are_told_apart() {
    let by = |who: &str, tool: &str| {
        let body = Body::SetAccess(snakepit_machine::SetAccess {
            session_id: "s".into(),
            identifier: "v".into(),
            access_json: String::new(),
        });
        let mut command: Command = from(who, "", body);
        command.origin.tool = tool.into();
        machine().step(T0, &command)
    };
    for (who, tool) in [("bob", ""), ("bob", "x"), ("eve", "tune-1"), ("", "tune")] {
        assert_eq!(by(who, tool).outcome, Ok(done(true)), "{who} {tool}");
    }
    let hint = "may not write variable v; hint: ask its owner for access, see access_control_json";
    for (who, tool, told) in [
        ("", "", "a caller without a principal"),
        ("eve", "", "principal \"eve\""),
        ("", "train", "tool train"),
        ("eve", "train", "principal \"eve\" through tool train"),
    ] {
        by(who, tool).only_refuses(RejectionKind::Denied, &format!("{told} {hint}"));
    }
}

#[test]
fn rules_that_change_are_an_event() {
    let mut machine = machine();
    let lifted = set_access("s", "var_v_2", "");
    let did = machine.step(T0 + 5, &from("bob", "", lifted.clone()));
    let [event] = &did.events[..] else {
        panic!("{did:?}")
    };
    assert_eq!((event.position, event.revision), (4, 4));
    assert_eq!(
        event.payload,
        Payload::VariableAccessSet {
            id: "var_v_2".into(),
            name: "v".into(),
            access_json: String::new(),
        }
    );
    assert_eq!(did.outcome, Ok(done(true)));
    assert_eq!(
        did.changes,
        changed(vec![
            head(4, T0 + 5, 1),
            session_row(SessionRow {
                revision: 4,
                variables: 2,
                updates: 2,
                ..new_session("s", T0)
            }),
            variable_row("s", new_variable("v", 2, T0, 1)),
        ])
    );
    // The same rules once more are no change.
    machine
        .step(T0 + 5, &from("eve", "", lifted))
        .only_answers(done(false));
    let did = machine.run(T0 + 5, set_access("s", "v", BOB));
    assert_eq!(did.outcome, Ok(done(false)));
    machine.check_replay();
}

#[test]
fn registering_again_without_rules_keeps_them() {
    let mut machine = machine();
    let did = machine.by("bob", "", T0, register_with("", 2));
    let Payload::VariableRegistered { access_json, .. } = &did.events[0].payload else {
        panic!("{did:?}")
    };
    assert_eq!(access_json, BOB);
    let did = machine.by("bob", "", T0, register_with("{}", 3));
    assert_eq!(did.events.len(), 1);
    let row = VariableRow {
        version: 3,
        value: int(3),
        by_tool: false,
        chain: vec![5, 4],
        access_json: "{}".into(),
        ..new_variable("v", 2, T0, 1)
    };
    assert_eq!(machine.variable("s", "v"), row);
    machine.check_replay();
}

#[test]
fn documents_are_checked_wherever_they_come_in() {
    let mut machine = machine();
    let wrong = |why: &str| {
        format!(
            "access_control_json is not a set of rules: {why}; hint: send {{\"write\": {{\"principals\": [\"alice\"]}}}}"
        )
    };
    let message =
        wrong("unknown field `wirte`, expected one of `read`, `write`, `watch` at line 1 column 8");
    for body in [
        set_access("s", "w", r#"{"wirte":{}}"#),
        register_with(r#"{"wirte":{}}"#, 1),
    ] {
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::Invalid, &message);
    }
    let longest = format!("{{{}}}", " ".repeat(ACCESS_BYTES_MAX - 2));
    machine
        .run(T0, set_access("s", "w", &longest))
        .outcome
        .unwrap();
    machine
        .run(T0, set_access("s", "w", &format!("{longest} ")))
        .only_refuses(
            RejectionKind::Invalid,
            "access_control_json has 16385 bytes, the limit is 16384; hint: name groups by globs",
        );
    machine
        .run(T0, set_access("s", "x", "{}"))
        .only_refuses(RejectionKind::NotFound, "Variable not found: x");
}

#[test]
fn each_action_has_its_rule() {
    use access::{Action, Actor, check};
    let rules = r#"{"read":{"principals":["r"]},"write":{"principals":["w"]},"watch":{"principals":["t"]}}"#;
    let may = |rules: &str, action, principal| {
        check(
            rules,
            "v",
            action,
            Actor {
                principal,
                tool: "",
            },
        )
        .is_ok()
    };
    for (who, allowed) in [
        ("r", [true, false, false]),
        ("w", [false, true, false]),
        ("t", [false, false, true]),
        ("", [false, false, false]),
    ] {
        let got =
            [Action::Read, Action::Write, Action::Watch].map(|action| may(rules, action, who));
        assert_eq!(got, allowed, "{who}");
    }
    let denied = check(
        rules,
        "v",
        Action::Watch,
        Actor {
            principal: "",
            tool: "t",
        },
    );
    assert_eq!(
        denied,
        Err(Rejection::new(
            RejectionKind::Denied,
            "tool t may not watch variable v; hint: ask its owner for access, see access_control_json"
        ))
    );
}
