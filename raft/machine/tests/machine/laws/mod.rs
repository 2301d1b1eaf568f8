//! Laws that every sequence of commands keeps. proptest prints the seed of a sequence that breaks one.

mod acts;
mod checks;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use snakepit_machine::{
    Answer, Body, Command, Limits, MemoryRows, Payload, Row, RowKey, RowsExt, replay,
};

use self::acts::{Act, SESSIONS, act, any_text, arbitrary_body};
use self::checks::{Answers, check_events, check_rows, check_step};
use crate::support::*;

fn small() -> Machine {
    let limits = Limits {
        sessions_max: 2,
        variables_per_session_max: 3,
        dependencies_per_variable_max: 2,
        programs_per_session_max: 2,
        global_programs_max: 2,
        tools_per_session_max: 2,
        pools_max: 2,
        ..Limits::default()
    };
    Machine::limited(limits)
}

/// The id of a lock of that session.
fn lock_id(rows: &MemoryRows, session_id: &str) -> Option<String> {
    rows.iter().find_map(|(key, row)| match (key, row) {
        (RowKey::Variable(of, _), Row::Variable(row)) if of == session_id => {
            row.lock.as_ref().map(|lock| lock.optimization_id.clone())
        }
        _ => None,
    })
}

fn run(acts: &[Act], mut check: impl FnMut(&Machine, u64, &Command, &Did, &Machine)) -> Machine {
    let mut machine = small();
    let mut clock = 1_000_000i64;
    // Something to begin with.
    let setup = [
        create("a", 60_000),
        register("a", "x", "integer", int(1)),
        register("a", "y", "integer", int(1)),
    ];
    let setup = setup.map(|body| Act {
        later_ms: 0,
        holds: false,
        command: command("", body),
    });
    for act in setup.iter().chain(acts) {
        clock += act.later_ms;
        let time_ms = u64::try_from(clock.max(0)).unwrap();
        let before = machine.clone();
        let mut command = act.command.clone();
        if act.holds {
            let held = lock_id(&machine.rows, command.body.session_id());
            command.origin.optimization_id = held.unwrap_or_default();
        }
        if let Body::RollbackVariable(body) = &mut command.body
            && let Some(row) = machine.rows.variable(&body.session_id, &body.id).unwrap()
        {
            body.id = row.id.clone();
        }
        let did = machine.step(time_ms, &command);
        check(&before, time_ms, &command, &did, &machine);
    }
    machine
}

proptest! {
    #[test]
    fn rows_and_events_keep_their_shape(acts in prop::collection::vec(act(), 1..60)) {
        let mut answers = Answers::default();
        let machine = run(&acts, |before, time_ms, command, did, after| {
            if let Some(answer) = answers.expected(before, time_ms, command) {
                did.only_answers(answer.clone());
            }
            check_step(command, did);
            check_rows(&after.rows);
            did.events.iter().for_each(|event| answers.learn(event));
        });
        check_events(&machine.events);
    }

    #[test]
    fn a_replay_of_the_events_gives_the_rows(acts in prop::collection::vec(act(), 1..60)) {
        let mut replayed = MemoryRows::default();
        run(&acts, |_, _, _, did, after| {
            for event in &did.events {
                replay(&mut replayed, event).unwrap();
            }
            assert_eq!(replayed, after.rows);
        });
    }

    #[test]
    fn the_same_commands_do_the_same(acts in prop::collection::vec(act(), 1..60)) {
        let log = || {
            let mut log = String::new();
            let machine = run(&acts, |_, _, _, did, _| log += &format!("{did:?}\n"));
            format!("{log}{:?}", machine.rows)
        };
        prop_assert_eq!(log(), log());
    }

    #[test]
    fn a_session_that_ends_leaves_nothing(acts in prop::collection::vec(act(), 1..60)) {
        let mut machine = run(&acts, |_, _, _, _, _| {});
        for session in SESSIONS.into_iter().chain(["sealed:ada", "sealed:bo"]) {
            let end = machine.head().time_ms + 1_000_000;
            machine.run(end, expire(session)).outcome.unwrap();
        }
        let left = machine.keys().into_iter().filter(|key| match key {
            RowKey::Head => false,
            RowKey::Request(session, ..) | RowKey::Program(session, _) => !session.is_empty(),
            RowKey::ProgramDeadline(..)
            | RowKey::Pool(_)
            | RowKey::Segment(_)
            | RowKey::Subject(_) => false,
            _ => true,
        });
        prop_assert_eq!(left.collect::<Vec<_>>(), vec![]);
        prop_assert_eq!(machine.head().sessions, 0);
    }

    #[test]
    fn values_are_counted(acts in prop::collection::vec(act(), 1..60)) {
        let mut updates: BTreeMap<String, u64> = BTreeMap::new();
        run(&acts, |_, _, _, did, after| {
            for event in &did.events {
                match &event.payload {
                    Payload::SessionCreated { .. } => {
                        updates.insert(event.session_id.clone(), 0);
                    }
                    Payload::VariableRegistered { .. }
                    | Payload::VariableSet { .. }
                    | Payload::VariableRolledBack { .. } => {
                        *updates.get_mut(&event.session_id).unwrap() += 1;
                    }
                    _ => {}
                }
                if let Some(row) = after.rows.session(&event.session_id).unwrap() {
                    assert_eq!(row.revision, did.events.last().unwrap().revision);
                }
            }
            for session in SESSIONS {
                if let Some(row) = after.rows.session(session).unwrap() {
                    assert_eq!(row.updates, updates[session]);
                }
            }
        });
    }

    #[test]
    fn no_text_stops_the_machine(acts in prop::collection::vec((arbitrary_body(), any_text()), 1..20)) {
        let mut machine = Machine::with_session("s");
        machine.register(T0, "s", "v", 1).outcome.unwrap();
        for (body, who) in acts {
            let mut command = command(&who, body);
            command.origin.principal.name.clone_from(&who);
            command.origin.optimization_id = who;
            let did = machine.step(T0, &command);
            check_step(&command, &did);
        }
        check_rows(&machine.rows);
        machine.check_replay();
    }
}

#[test]
fn the_laws_see_every_event_and_every_refusal() {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(act(), 60);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..400 {
        let acts = strategy.new_tree(&mut runner).unwrap().current();
        run(&acts, |_, _, _, did, _| {
            for event in &did.events {
                *seen.entry(event.payload.name()).or_default() += 1;
            }
            let refused = match &did.outcome {
                Err(rejection) => vec![rejection],
                Ok(Answer::VariablesSet { refused, .. }) => refused.values().collect(),
                Ok(_) => vec![],
            };
            for rejection in refused {
                *seen.entry(rejection.kind.name()).or_default() += 1;
            }
        });
    }
    let wanted = [
        "SessionCreated",
        "SessionTouched",
        "SessionDeleted",
        "SessionExpired",
        "VariableRegistered",
        "VariableSet",
        "VariableDeleted",
        "VariableRolledBack",
        "VariableAccessSet",
        "DependencyAdded",
        "DependencyRemoved",
        "OptimizationStarted",
        "OptimizationStopped",
        "ProgramPut",
        "ProgramDeleted",
        "ProgramExpired",
        "ToolsRegistered",
        "PoolPut",
        "PoolRemoved",
        "WorkerBound",
        "WorkerUnbound",
        "CallStarted",
        "CallEnded",
        "CallChunksPut",
        "CallsRecorded",
        "EventsArchived",
        "SubjectPut",
        "SubjectErased",
        "invalid",
        "not_found",
        "already_exists",
        "conflict",
        "refused",
        "exhausted",
        "denied",
    ];
    for name in wanted {
        let times = seen.get(name).copied().unwrap_or_default();
        assert!(times >= 20, "{name}: {times} times, of {seen:?}");
    }
}
