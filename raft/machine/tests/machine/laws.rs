//! Laws that every sequence of commands keeps. proptest prints the seed of a sequence that breaks one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use snakepit_machine::{
    Answer, Body, Command, Event, Limits, MemoryRows, Payload, Ring, Row, RowKey, RowsExt,
    SetVariable, Value, replay,
};

use crate::support::*;

/// Numbers, ids by order and ids by request of one ring.
type RingRows<'a> = (BTreeSet<u64>, BTreeSet<&'a str>, BTreeSet<&'a str>);

const SESSIONS: [&str; 3] = ["a", "b", "ab"];
/// The third is what an early variable's id looks like.
const NAMES: [&str; 4] = ["x", "y", "var_x_2", "var_x_3"];
const REQUESTS: [&str; 8] = ["", "", "", "p", "q", "r", "bq", "1:ap"];

/// A command, and how much later than the one before it comes; earlier where negative.
#[derive(Clone, Debug)]
struct Act {
    later_ms: i64,
    command: Command,
}

fn identifier() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => (prop::sample::select(&NAMES[..]), 1..40u64).prop_map(|(name, n)| format!("var_{name}_{n}")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-2..12i64).prop_map(int),
        1 => Just(Value::Float(f64::NAN)),
        1 => Just(Value::Float(3.0)),
        1 => "[a-c]{0,3}".prop_map(|letters| text(&letters)),
        1 => any::<bool>().prop_map(Value::Boolean),
    ]
}

fn one_update() -> impl Strategy<Value = SetVariable> {
    let expected = prop_oneof![3 => Just(0), 1 => 1..4u64];
    let value = prop_oneof![8 => value().prop_map(Ok), 1 => Just(Err("unreadable".to_owned()))];
    (identifier(), value, expected).prop_map(|(identifier, value, expected_version)| SetVariable {
        identifier,
        value,
        expected_version,
    })
}

fn body() -> impl Strategy<Value = Body> {
    let session = || prop::sample::select(&SESSIONS[..]);
    let kinds = prop::sample::select(vec!["integer", "float", "string", "boolean"]);
    let bounds = prop::sample::select(vec!["", "{}", r#"{"max":9}"#, r#"{"min":0,"max":5}"#, "["]);
    let registered = (
        session(),
        prop::sample::select(&NAMES[..]),
        kinds,
        value(),
        bounds,
    );
    prop_oneof![
        4 => (session(), prop::sample::select(vec![1_000, TTL_MS, 60_000, 1]))
            .prop_map(|(session, ttl_ms)| create(session, ttl_ms)),
        1 => session().prop_map(delete),
        2 => session().prop_map(touch),
        2 => session().prop_map(expire),
        6 => registered.prop_map(|(session, name, kind, value, bounds)| {
            let Body::RegisterVariable(mut body) = register(session, name, kind, value) else { unreachable!() };
            body.constraints_json = bounds.into();
            Body::RegisterVariable(body)
        }),
        8 => (session(), any::<bool>(), prop::collection::vec(one_update(), 0..4))
            .prop_map(|(session, atomic, updates)| set(session, atomic, updates)),
        2 => (session(), identifier()).prop_map(|(session, identifier)| delete_variable(session, &identifier)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let later = prop_oneof![6 => 0..300i64, 2 => 900..12_000i64, 1 => -20_000..0i64];
    (later, prop::sample::select(&REQUESTS[..]), body()).prop_map(|(later_ms, request_id, body)| {
        Act {
            later_ms,
            command: command(request_id, body),
        }
    })
}

fn small() -> Machine {
    let limits = Limits {
        sessions_max: 2,
        variables_per_session_max: 3,
        ..Limits::default()
    };
    Machine::limited(limits)
}

/// Answers that must be given again.
#[derive(Default)]
struct Kept {
    living: BTreeMap<(String, String), Answer>,
    ended: BTreeMap<(String, String), Answer>,
}

impl Kept {
    fn expected(&self, machine: &Machine, time_ms: u64, command: &Command) -> Option<&Answer> {
        let session_id = command.body.session_id();
        let key = (session_id.to_owned(), command.origin.request_id.clone());
        let time_ms = time_ms.max(machine.head().time_ms);
        let session = machine.rows.session(session_id).unwrap();
        let living = session
            .filter(|session| session.alive_at(time_ms))
            .and_then(|_| self.living.get(&key));
        let ends = matches!(
            command.body,
            Body::DeleteSession(_) | Body::ExpireSession(_)
        );
        living.or_else(|| if ends { self.ended.get(&key) } else { None })
    }

    fn learn(&mut self, event: &Event) {
        let key = (event.session_id.clone(), event.cause.request_id.clone());
        let ends = matches!(
            event.payload,
            Payload::SessionDeleted | Payload::SessionExpired { .. }
        );
        if ends {
            self.living
                .retain(|(session_id, _), _| *session_id != event.session_id);
        }
        if let Some(answer) = &event.answer {
            let kept = if ends {
                &mut self.ended
            } else {
                &mut self.living
            };
            assert_eq!(
                kept.insert(key, answer.clone()),
                None,
                "a kept answer was given anew"
            );
        }
    }
}

/// What a command may do, by its kind.
fn check_step(command: &Command, did: &Did) {
    assert_eq!(
        did.events.is_empty(),
        did.changes.rows.is_empty() && did.changes.cleared.is_empty()
    );
    if did.outcome.is_err() {
        assert_eq!(did.events, []);
    }
    let Body::SetVariables(body) = &command.body else {
        return;
    };
    let Ok(Answer::VariablesSet { versions, refused }) = &did.outcome else {
        return;
    };
    if did.events.is_empty() {
        return;
    }
    assert_eq!(did.events.len(), versions.len());
    if body.atomic {
        assert_eq!(
            did.events.len(),
            body.updates.len(),
            "an atomic batch is all or nothing"
        );
        assert!(refused.is_empty());
    } else {
        let distinct: BTreeSet<_> = body
            .updates
            .iter()
            .map(|update| &update.identifier)
            .collect();
        let answered: BTreeSet<_> = versions.keys().chain(refused.keys()).collect();
        assert_eq!(answered, distinct, "each is answered");
    }
}

/// What is true of rows at any time.
fn check_rows(rows: &MemoryRows) {
    let mut sessions = BTreeMap::new();
    let mut deadlines = Vec::new();
    let mut variables: BTreeMap<&str, u64> = BTreeMap::new();
    let mut rings: BTreeMap<&str, RingRows<'_>> = BTreeMap::new();
    for (key, row) in rows.iter() {
        match (key, row) {
            (RowKey::Head, Row::Head(_)) => {}
            (RowKey::Session(id), Row::Session(session)) => {
                assert_eq!(*id, session.id);
                sessions.insert(id.as_str(), session);
            }
            (RowKey::Variable(session, name), Row::Variable(variable)) => {
                assert_eq!(*name, variable.name);
                assert!(variable.id.starts_with(&format!("var_{name}_")));
                *variables.entry(session).or_default() += 1;
            }
            (RowKey::Request(session, id), Row::Request(_)) => {
                rings.entry(session).or_default().1.insert(id);
            }
            (RowKey::RequestOrder(session, number), Row::RequestOrder(id, _)) => {
                let ring = rings.entry(session).or_default();
                ring.0.insert(*number);
                assert!(ring.2.insert(id), "one request twice in a ring");
            }
            (RowKey::Deadline(time_ms, session), Row::Deadline) => {
                deadlines.push((*time_ms, session.as_str()))
            }
            (key, row) => panic!("{key:?} holds {row:?}"),
        }
    }
    let head = rows.head().unwrap();
    assert_eq!(head.sessions, sessions.len() as u64);
    let mut wanted: Vec<_> = sessions
        .values()
        .map(|row| (row.deadline_ms(), row.id.as_str()))
        .collect();
    wanted.sort_unstable();
    assert_eq!(
        deadlines, wanted,
        "one deadline for each session, and no other"
    );
    assert!(
        variables
            .keys()
            .all(|session| sessions.contains_key(session)),
        "variables of no session"
    );
    let owners: BTreeMap<&str, Ring> = sessions
        .iter()
        .map(|(id, row)| (*id, row.requests))
        .chain([("", head.requests)])
        .collect();
    assert!(
        rings.keys().all(|session| owners.contains_key(session)),
        "answers of no session"
    );
    for (id, session) in &sessions {
        assert_eq!(
            session.variables,
            variables.get(id).copied().unwrap_or_default()
        );
    }
    for (id, ring) in owners {
        let (numbers, answers, order) = rings.remove(id).unwrap_or_default();
        assert_eq!(numbers, (ring.first..ring.next).collect());
        assert_eq!(answers, order);
    }
}

/// What is true of events, from the first on.
fn check_events(events: &[Event]) {
    let mut revisions: BTreeMap<&str, u64> = BTreeMap::new();
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    let mut time_ms = 0;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.position, number as u64 + 1);
        assert!(event.time_ms >= time_ms, "time goes back");
        time_ms = event.time_ms;
        let revision = revisions.entry(&event.session_id).or_default();
        *revision += 1;
        assert_eq!(event.revision, *revision);
        match &event.payload {
            Payload::SessionDeleted | Payload::SessionExpired { .. } => {
                revisions.remove(event.session_id.as_str());
            }
            Payload::VariableRegistered { id, version, .. }
            | Payload::VariableSet { id, version, .. } => {
                let last = versions.insert(id, *version).unwrap_or_default();
                assert_eq!(*version, last + 1, "versions of {id}");
            }
            Payload::VariableDeleted { id, version, .. } => {
                assert_eq!(versions.insert(id, u64::MAX), Some(*version));
            }
            Payload::SessionCreated { .. } => assert_eq!(event.revision, 1),
            Payload::SessionTouched => {}
        }
    }
}

fn run(acts: &[Act], mut check: impl FnMut(&Machine, u64, &Command, &Did, &Machine)) -> Machine {
    let mut machine = small();
    let mut clock = 1_000_000i64;
    for act in acts {
        clock += act.later_ms;
        let time_ms = u64::try_from(clock.max(0)).unwrap();
        let before = machine.clone();
        let did = machine.step(time_ms, &act.command);
        check(&before, time_ms, &act.command, &did, &machine);
    }
    machine
}

proptest! {
    #[test]
    fn rows_and_events_keep_their_shape(acts in prop::collection::vec(act(), 1..60)) {
        let mut kept = Kept::default();
        let machine = run(&acts, |before, time_ms, command, did, after| {
            if let Some(answer) = kept.expected(before, time_ms, command) {
                did.only_answers(answer.clone());
            }
            check_step(command, did);
            check_rows(&after.rows);
            did.events.iter().for_each(|event| kept.learn(event));
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
        for session in SESSIONS {
            let end = machine.head().time_ms + 1_000_000;
            machine.run(end, expire(session)).outcome.unwrap();
        }
        let left = machine.keys().into_iter().filter(|key| match key {
            RowKey::Head => false,
            RowKey::Request(session, _) | RowKey::RequestOrder(session, _) => !session.is_empty(),
            _ => true,
        });
        prop_assert_eq!(left.collect::<Vec<_>>(), vec![]);
        prop_assert_eq!(machine.head().sessions, 0);
    }
}
