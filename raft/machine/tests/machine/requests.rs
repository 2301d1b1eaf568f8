//! Requests with a name: a repeated one gets the first answer and changes nothing.

use snakepit_machine::evolve::{REQUESTS_KEPT_MIN, REQUESTS_KEPT_MS};
use snakepit_machine::{Answer, HeadRow, RequestRow, Ring, Row, RowKey, RowsExt, SessionRow};

use crate::support::*;

fn request_key(session_id: &str, request_id: &str) -> RowKey {
    RowKey::Request(session_id.into(), request_id.into())
}

fn order_key(session_id: &str, number: u64) -> RowKey {
    RowKey::RequestOrder(session_id.into(), number)
}

fn kept(answer: &Answer, time_ms: u64) -> Option<Row> {
    Some(Row::Request(RequestRow {
        answer: answer.clone(),
        time_ms,
    }))
}

/// The numbers that a ring holds, checked against its rows: no gap, each order with its answer.
fn ring_of(machine: &Machine, session_id: &str, ring: Ring) -> Vec<u64> {
    let orders: Vec<(u64, String)> = machine
        .rows
        .iter()
        .filter_map(|(key, row)| match (key, row) {
            (RowKey::RequestOrder(of, number), Row::RequestOrder(request_id, _))
                if of == session_id =>
            {
                Some((*number, request_id.clone()))
            }
            _ => None,
        })
        .collect();
    let numbers: Vec<u64> = orders.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (ring.first..ring.next).collect::<Vec<_>>());
    let mut named: Vec<String> = orders
        .into_iter()
        .map(|(_, request_id)| request_id)
        .collect();
    named.sort();
    let answers: Vec<String> = machine
        .rows
        .iter()
        .filter_map(|(key, _)| match key {
            RowKey::Request(of, request_id) if of == session_id => Some(request_id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(answers, named);
    numbers
}

#[test]
fn an_answer_is_kept_with_the_last_event() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "a", 1);
    machine.register(T0, "s", "b", 1);
    let body = set("s", true, vec![update("a", int(2)), update("b", int(2))]);
    let did = machine.request(T0 + 5, "r", body);
    let answer = did.outcome.clone().unwrap();
    assert_eq!(did.events[0].answer, None);
    assert_eq!(did.events[1].answer, Some(answer.clone()));
    assert!(did.events.iter().all(|event| event.cause.request_id == "r"));
    let [a, b] = ["a", "b"].map(|name| machine.variable("s", name));
    let requests = Ring { first: 0, next: 1 };
    assert_eq!(
        did.changes,
        changed(vec![
            head(5, T0 + 5, 1),
            session_row(SessionRow {
                revision: 5,
                variables: 2,
                requests,
                ..new_session("s", T0)
            }),
            variable_row("s", a),
            variable_row("s", b),
            (request_key("s", "r"), kept(&answer, T0 + 5)),
            (
                order_key("s", 0),
                Some(Row::RequestOrder("r".into(), T0 + 5))
            ),
        ])
    );
}

#[test]
fn every_command_s_repetition_gets_the_first_answer() {
    let mut machine = Machine::default();
    let commands = [
        create("s", TTL_MS),
        register("s", "v", "integer", int(1)),
        register("s", "v", "integer", int(1)),
        set("s", true, vec![update_at("v", int(2), 2)]),
        delete_variable("s", "v"),
    ];
    for (number, body) in commands.iter().enumerate() {
        let request_id = format!("r{number}");
        let first = machine.request(T0, &request_id, body.clone());
        assert_eq!(first.events.len(), 1);
        machine
            .request(T0 + 1, &request_id, body.clone())
            .only_answers(first.outcome.unwrap());
    }
    // Also once more, when everything has changed: v is gone, and so is its version.
    for (number, body) in commands.iter().enumerate() {
        let did = machine.request(T0 + TTL_MS - 1, &format!("r{number}"), body.clone());
        assert!(did.outcome.is_ok() && did.events.is_empty());
    }
    let touched = machine.request(T0 + TTL_MS / 2, "touch", touch("s"));
    assert_eq!(touched.events.len(), 1);
    machine
        .request(T0 + TTL_MS, "touch", touch("s"))
        .only_answers(Answer::SessionTouched { valid: true });
}

#[test]
fn a_partial_batch_is_answered_again_as_it_was() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "a", 1);
    let body = || {
        set(
            "s",
            false,
            vec![update("a", int(2)), update("late", int(2))],
        )
    };
    let first = machine.request(T0, "r", body());
    assert_eq!(first.events.len(), 1);
    // What was refused stays refused for this request, though it could be done by now.
    machine.register(T0, "s", "late", 1).outcome.unwrap();
    machine
        .request(T0, "r", body())
        .only_answers(first.outcome.unwrap());
    assert_eq!(machine.variable("s", "late").version, 1);
}

#[test]
fn what_changed_nothing_is_decided_anew() {
    let mut machine = Machine::with_session("s");
    let body = || set("s", true, vec![update("v", int(2))]);
    assert!(machine.request(T0, "r", body()).events.is_empty());
    assert!(
        machine
            .request(T0, "q", register("s", "v", "integer", text("x")))
            .outcome
            .is_err()
    );
    assert!(
        machine
            .request(T0, "q", register("s", "v", "integer", int(1)))
            .outcome
            .is_ok()
    );
    assert_eq!(machine.request(T0, "r", body()).events.len(), 1);
}

#[test]
fn the_same_name_in_two_sessions_names_two_requests() {
    let mut machine = Machine::default();
    for session in ["a", "b", "ab"] {
        assert_eq!(
            machine
                .request(T0, "r", create(session, TTL_MS))
                .events
                .len(),
            1
        );
        let body = register(session, "v", "integer", int(1));
        assert_eq!(machine.request(T0, "q", body).events.len(), 1);
    }
    for session in ["a", "b", "ab"] {
        assert_eq!(machine.request(T0, "x", delete(session)).events.len(), 1);
    }
    // Session and request ids are kept apart, whatever their letters: "a" + "bx" is not "ab" + "x".
    machine.run(T0, create("a", TTL_MS)).outcome.unwrap();
    assert_eq!(machine.request(T0, "bx", delete("a")).events.len(), 1);
}

#[test]
fn the_end_of_a_session_is_remembered_without_it() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    let did = machine.request(T0 + 5, "r", delete("s"));
    let answer = Answer::SessionDeleted {
        existed: true,
        variables: 1,
    };
    assert_eq!(did.outcome, Ok(answer.clone()));
    let row = HeadRow {
        position: 3,
        time_ms: T0 + 5,
        sessions: 0,
        requests: Ring { first: 0, next: 1 },
    };
    let mut changes = changed(vec![
        (RowKey::Head, Some(Row::Head(row))),
        (session_key("s"), None),
        no_deadline(T0 + TTL_MS, "s"),
        (request_key("", "1:sr"), kept(&answer, T0 + 5)),
        (
            order_key("", 0),
            Some(Row::RequestOrder("1:sr".into(), T0 + 5)),
        ),
    ]);
    changes.cleared = cleared("s");
    assert_eq!(did.changes, changes);

    machine
        .request(T0 + 6, "r", delete("s"))
        .only_answers(answer.clone());
    // Also after it was created anew: the new one is not touched by a late repetition.
    machine.run(T0 + 7, create("s", TTL_MS)).outcome.unwrap();
    machine
        .request(T0 + 8, "r", delete("s"))
        .only_answers(answer);
    assert_eq!(machine.session("s").created_ms, T0 + 7);
    // Another request ends the new one.
    let did = machine.request(T0 + 9, "q", delete("s"));
    assert_eq!(
        did.outcome,
        Ok(Answer::SessionDeleted {
            existed: true,
            variables: 0
        })
    );
}

#[test]
fn a_named_expiry_takes_effect_once() {
    let mut machine = Machine::with_session("s");
    let answer = Answer::SessionDeleted {
        existed: true,
        variables: 0,
    };
    assert_eq!(
        machine.request(T0 + TTL_MS, "r", expire("s")).outcome,
        Ok(answer.clone())
    );
    machine
        .run(T0 + TTL_MS, create("s", TTL_MS))
        .outcome
        .unwrap();
    machine
        .request(T0 + 2 * TTL_MS, "r", expire("s"))
        .only_answers(answer);
}

#[test]
fn an_ended_session_s_requests_are_forgotten_with_it() {
    let mut machine = Machine::default();
    machine
        .request(T0, "c", create("s", TTL_MS))
        .outcome
        .unwrap();
    machine
        .request(T0, "r", register("s", "v", "integer", int(1)))
        .outcome
        .unwrap();
    machine.run(T0, delete("s")).outcome.unwrap();
    assert_eq!(machine.keys(), [RowKey::Head]);
}

/// Touch or set so many times under new names, one event each.
fn fill(machine: &mut Machine, from: u64, count: u64, time_ms: u64) {
    for number in from..from + count {
        let body = set("s", true, vec![update("v", int(0))]);
        let did = machine.request(time_ms, &format!("r{number}"), body);
        assert_eq!(did.events.len(), 1);
    }
}

fn with_variable() -> Machine {
    let mut machine = Machine::default();
    machine
        .run(T0, create("s", 10 * REQUESTS_KEPT_MS))
        .outcome
        .unwrap();
    machine.register(T0, "s", "v", 0).outcome.unwrap();
    machine
}

#[test]
fn answers_are_kept_for_ten_minutes_however_many() {
    let mut machine = with_variable();
    let count = REQUESTS_KEPT_MIN + 300;
    fill(&mut machine, 0, count, T0);
    fill(&mut machine, count, 1, T0 + REQUESTS_KEPT_MS);
    let ring = machine.session("s").requests;
    assert_eq!(
        ring,
        Ring {
            first: 0,
            next: count + 1
        }
    );
    ring_of(&machine, "s", ring);
    // The oldest is exactly ten minutes old, and still there.
    let did = machine.request(
        T0 + REQUESTS_KEPT_MS,
        "r0",
        set("s", true, vec![update("v", int(0))]),
    );
    assert!(did.events.is_empty());
    // A moment later it goes, and with it the next: two for each that comes.
    fill(&mut machine, count + 1, 1, T0 + REQUESTS_KEPT_MS + 1);
    let ring = machine.session("s").requests;
    assert_eq!(
        ring,
        Ring {
            first: 2,
            next: count + 2
        }
    );
    ring_of(&machine, "s", ring);
    assert_eq!(machine.rows.request("s", "r1").unwrap(), None);
    assert!(machine.rows.request("s", "r2").unwrap().is_some());
}

#[test]
fn the_last_1024_answers_are_kept_however_old() {
    let mut machine = with_variable();
    fill(&mut machine, 0, REQUESTS_KEPT_MIN, T0);
    let late = T0 + 2 * REQUESTS_KEPT_MS;
    fill(&mut machine, REQUESTS_KEPT_MIN, 1, late);
    let ring = machine.session("s").requests;
    // One has come, one has gone, though all the old ones might.
    assert_eq!(
        ring,
        Ring {
            first: 1,
            next: REQUESTS_KEPT_MIN + 1
        }
    );
    ring_of(&machine, "s", ring);
    let did = machine.request(late, "r1", set("s", true, vec![update("v", int(0))]));
    assert!(did.events.is_empty());
    let did = machine.request(late, "r0", set("s", true, vec![update("v", int(0))]));
    assert_eq!(did.events.len(), 1, "its answer was dropped");
}

#[test]
fn a_ring_that_is_too_long_grows_shorter_down_to_1024() {
    let mut machine = with_variable();
    let many = REQUESTS_KEPT_MIN + 50;
    fill(&mut machine, 0, many, T0);
    let late = T0 + REQUESTS_KEPT_MS + 1;
    for number in 0..60 {
        fill(&mut machine, many + number, 1, late);
        let ring = machine.session("s").requests;
        let wanted = (many - number - 1).max(REQUESTS_KEPT_MIN);
        assert_eq!(ring.next - ring.first, wanted);
    }
    ring_of(&machine, "s", machine.session("s").requests);
}

#[test]
fn ended_sessions_answers_are_evicted_the_same_way() {
    let mut machine = Machine::default();
    let end = |machine: &mut Machine, number: u64, time_ms: u64| {
        let session = format!("s{number}");
        machine
            .run(time_ms, create(&session, TTL_MS))
            .outcome
            .unwrap();
        assert_eq!(
            machine.request(time_ms, "r", delete(&session)).events.len(),
            1
        );
    };
    for number in 0..REQUESTS_KEPT_MIN {
        end(&mut machine, number, T0);
    }
    end(&mut machine, REQUESTS_KEPT_MIN, T0 + REQUESTS_KEPT_MS);
    assert_eq!(
        machine.head().requests,
        Ring {
            first: 0,
            next: REQUESTS_KEPT_MIN + 1
        }
    );
    end(
        &mut machine,
        REQUESTS_KEPT_MIN + 1,
        T0 + REQUESTS_KEPT_MS + 1,
    );
    assert_eq!(
        machine.head().requests,
        Ring {
            first: 2,
            next: REQUESTS_KEPT_MIN + 2
        }
    );
    ring_of(&machine, "", machine.head().requests);
    assert_eq!(machine.head().sessions, 0);
}

#[test]
fn a_session_s_own_requests_are_not_those_that_ended_one() {
    let mut machine = Machine::with_session("s");
    machine
        .request(T0, "r", register("s", "v", "integer", int(1)))
        .outcome
        .unwrap();
    // No session has an empty id, so that nothing reaches the kept ends through one.
    machine
        .request(T0, "1:sr", touch(""))
        .only_answers(Answer::SessionTouched { valid: false });
    machine.request(T0, "q", delete("s")).outcome.unwrap();
    machine
        .request(T0, "1:sq", delete(""))
        .only_answers(Answer::SessionDeleted {
            existed: false,
            variables: 0,
        });
}
