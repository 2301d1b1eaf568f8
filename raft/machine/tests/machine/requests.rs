//! Requests with a name: a repeated one gets the first answer and changes nothing.

use std::collections::BTreeSet;

use snakepit_machine::evolve::{REQUESTS_KEPT_MAX, REQUESTS_KEPT_MIN, REQUESTS_KEPT_MS};
use snakepit_machine::{
    Answer, Body, HeadRow, Kept, MemoryRows, Row, RowKey, RowPrefix, Rows, RowsExt, RowsMut,
    SessionRow,
};

use crate::support::*;

fn request_key(session_id: &str, epoch: u64, request_id: &str) -> RowKey {
    RowKey::Request(session_id.into(), epoch, request_id.into())
}

fn kept(epoch: u64, count: u64, began_ms: u64) -> Kept {
    Kept {
        epoch,
        count,
        began_ms,
    }
}

fn answered(answer: &Answer) -> Option<Row> {
    Some(Row::Request(answer.clone()))
}

/// How many answers of each epoch are there.
fn epochs(rows: &MemoryRows, session_id: &str) -> Vec<(u64, u64)> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for (key, _) in rows.iter() {
        match key {
            RowKey::Request(of, epoch, _) if of == session_id => match counts.last_mut() {
                Some((last, count)) if last == epoch => *count += 1,
                _ => counts.push((*epoch, 1)),
            },
            _ => {}
        }
    }
    counts
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
    assert_eq!(
        did.changes,
        changed(vec![
            head(5, T0 + 5, 1),
            session_row(SessionRow {
                revision: 5,
                variables: 2,
                updates: 4,
                answers: kept(0, 1, T0 + 5),
                ..new_session("s", T0)
            }),
            variable_row("s", a),
            variable_row("s", b),
            (request_key("s", 0, "r"), answered(&answer)),
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
        resources: 1,
    };
    assert_eq!(did.outcome, Ok(answer.clone()));
    let row = HeadRow {
        position: 3,
        time_ms: T0 + 5,
        answers: kept(0, 1, T0 + 5),
        ..HeadRow::default()
    };
    let mut changes = changed(vec![
        (RowKey::Head, Some(Row::Head(row))),
        (session_key("s"), None),
        no_deadline(T0 + TTL_MS, "s"),
        (request_key("", 0, "1:sr"), answered(&answer)),
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
            resources: 0
        })
    );
}

#[test]
fn a_named_expiry_takes_effect_once() {
    let mut machine = Machine::with_session("s");
    let answer = Answer::SessionDeleted {
        existed: true,
        resources: 0,
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
    // What began it is still remembered.
    assert_eq!(machine.keys(), [RowKey::Head, request_key("", 0, "1:sc")]);
}

#[test]
fn a_session_begins_once_for_each_request() {
    let mut machine = Machine::default();
    let first = Answer::SessionCreated { created: true };
    let did = machine.request(T0, "c", create("s", TTL_MS));
    let row = HeadRow {
        position: 1,
        time_ms: T0,
        sessions: 1,
        answers: kept(0, 1, T0),
        ..HeadRow::default()
    };
    assert_eq!(
        did.changes,
        changed(vec![
            (RowKey::Head, Some(Row::Head(row))),
            session_row(new_session("s", T0)),
            deadline(T0 + TTL_MS, "s"),
            (request_key("", 0, "1:sc"), answered(&first)),
        ])
    );
    machine.run(T0 + 1, delete("s")).outcome.unwrap();
    // The late repetition of a creation brings nothing back.
    machine
        .request(T0 + 2, "c", create("s", TTL_MS))
        .only_answers(first);
    assert_eq!(machine.rows.session("s").unwrap(), None);
    let did = machine.request(T0 + 3, "d", create("s", TTL_MS));
    assert_eq!(did.outcome, Ok(Answer::SessionCreated { created: true }));

    let body = || Body::ImportSession(import("t", vec![("x", exported(1, &[]))], vec![]));
    let did = machine.request(T0 + 3, "i", body());
    let first = Answer::SessionImported {
        variables: 1,
        programs: 0,
    };
    assert_eq!(did.outcome, Ok(first.clone()));
    machine.run(T0 + 4, delete("t")).outcome.unwrap();
    machine.request(T0 + 5, "i", body()).only_answers(first);
}

#[test]
fn global_programs_requests_are_kept_apart_from_all_sessions() {
    let mut machine = Machine::with_session("s");
    let did = machine.request(T0, "r", put_program("", "p", int(1), TTL_MS));
    let first = Answer::ProgramPut { version: 1 };
    assert_eq!(did.outcome, Ok(first.clone()));
    assert_eq!(
        machine.rows.get(&request_key("", 0, "0:r")).unwrap(),
        answered(&first)
    );
    machine
        .request(T0, "r", put_program("", "p", int(2), TTL_MS))
        .only_answers(first);
    let in_session = machine.request(T0, "r", put_program("s", "p", int(2), 0));
    assert_eq!(in_session.events.len(), 1);
    assert_eq!(epochs(&machine.rows, "s"), [(0, 1)]);
}

/// Set so many times under new names, one event each.
fn fill(machine: &mut Machine, from: u64, count: u64, time_ms: u64) {
    for number in from..from + count {
        let body = set("s", true, vec![update("v", int(0))]);
        let did = machine.request(time_ms, &format!("r{number}"), body);
        assert_eq!(did.events.len(), 1);
    }
}

fn is_kept(machine: &Machine, number: u64, time_ms: u64) -> bool {
    let body = set("s", true, vec![update("v", int(0))]);
    let did = machine
        .clone()
        .request(time_ms, &format!("r{number}"), body);
    did.events.is_empty()
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
fn an_epoch_ends_once_it_is_older_than_ten_minutes() {
    let mut machine = with_variable();
    let many = REQUESTS_KEPT_MIN + 300;
    fill(&mut machine, 0, many, T0);
    // Exactly ten minutes old.
    fill(&mut machine, many, 1, T0 + REQUESTS_KEPT_MS);
    assert_eq!(machine.session("s").answers, kept(0, many + 1, T0));
    assert_eq!(epochs(&machine.rows, "s"), [(0, many + 1)]);
    let late = T0 + REQUESTS_KEPT_MS + 1;
    fill(&mut machine, many + 1, 1, late);
    assert_eq!(machine.session("s").answers, kept(1, 1, late));
    assert_eq!(epochs(&machine.rows, "s"), [(0, many + 1), (1, 1)]);
    // Both are asked.
    assert!(is_kept(&machine, 0, late) && is_kept(&machine, many + 1, late));
    machine.check_replay();
}

#[test]
fn an_epoch_ends_once_it_has_1024_answers() {
    let mut machine = with_variable();
    fill(&mut machine, 0, REQUESTS_KEPT_MIN - 1, T0);
    let late = T0 + 2 * REQUESTS_KEPT_MS;
    fill(&mut machine, REQUESTS_KEPT_MIN - 1, 1, late);
    let full = kept(0, REQUESTS_KEPT_MIN, T0);
    assert_eq!(machine.session("s").answers, full);
    fill(&mut machine, REQUESTS_KEPT_MIN, 1, late);
    assert_eq!(machine.session("s").answers, kept(1, 1, late));
    assert_eq!(epochs(&machine.rows, "s"), [(0, REQUESTS_KEPT_MIN), (1, 1)]);
    assert!(is_kept(&machine, 0, late));
}

#[test]
fn an_epoch_s_answers_go_at_once_when_the_next_one_ends() {
    let mut machine = with_variable();
    let min = REQUESTS_KEPT_MIN;
    fill(&mut machine, 0, min, T0);
    let second = T0 + REQUESTS_KEPT_MS + 1;
    fill(&mut machine, min, min, second);
    // The last of the first epoch: 1,024 came after it, ten minutes ago, and it is still there.
    let last = second + REQUESTS_KEPT_MS;
    assert!(is_kept(&machine, min - 1, last));
    assert_eq!(epochs(&machine.rows, "s"), [(0, min), (1, min)]);
    let body = set("s", true, vec![update("v", int(0))]);
    let did = machine.request(last + 1, "new", body);
    assert_eq!(
        did.changes.cleared,
        BTreeSet::from([RowPrefix::RequestEpoch("s".into(), 0)])
    );
    assert_eq!(machine.session("s").answers, kept(2, 1, last + 1));
    assert_eq!(epochs(&machine.rows, "s"), [(1, min), (2, 1)]);
    assert!(
        !is_kept(&machine, min - 1, last + 1),
        "its answer was dropped"
    );
    assert!(is_kept(&machine, min, last + 1));
    machine.check_replay();
}

#[test]
fn no_answer_goes_before_ten_minutes_and_1024_requests() {
    let mut machine = with_variable();
    let (mut number, mut time) = (0, T0);
    let mut made: Vec<u64> = Vec::new();
    // Bursts and pauses; the oldest answer that is gone must be old and far behind.
    for (count, pause) in [(700, 400_000), (400, 300_000), (1, 1_200_000), (1_500, 0)]
        .into_iter()
        .cycle()
        .take(9)
    {
        fill(&mut machine, number, count, time);
        made.extend((0..count).map(|_| time));
        number += count;
        let held: u64 = epochs(&machine.rows, "s").iter().map(|(_, n)| n).sum();
        if let Some(last_gone) = (number - held).checked_sub(1) {
            assert!(held >= REQUESTS_KEPT_MIN);
            let made = made[usize::try_from(last_gone).unwrap()];
            assert!(time - made > REQUESTS_KEPT_MS);
        }
        time += pause;
    }
    assert!(machine.session("s").answers.epoch > 1);
}

#[test]
fn an_epoch_ends_at_half_the_cap_however_young() {
    let half = REQUESTS_KEPT_MAX / 2;
    let mut machine = with_variable();
    fill(&mut machine, 0, 1, T0);
    // Half a million requests are too many for a test: the row says that they were.
    let full = |machine: &mut Machine, epoch: u64, count: u64| {
        let row = SessionRow {
            answers: kept(epoch, count, T0),
            ..machine.session("s")
        };
        machine.rows.put(session_key("s"), Row::Session(row.into()));
    };
    full(&mut machine, 0, half - 1);
    fill(&mut machine, 1, 1, T0);
    assert_eq!(machine.session("s").answers, kept(0, half, T0));
    fill(&mut machine, 2, 1, T0 + 1);
    assert_eq!(machine.session("s").answers, kept(1, 1, T0 + 1));
    assert!(is_kept(&machine, 0, T0 + 1));
    full(&mut machine, 1, half);
    fill(&mut machine, 3, 1, T0 + 2);
    assert_eq!(machine.session("s").answers, kept(2, 1, T0 + 2));
    assert_eq!(epochs(&machine.rows, "s"), [(1, 1), (2, 1)]);
    assert!(!is_kept(&machine, 0, T0 + 2));
}

#[test]
fn answers_that_outlive_sessions_are_gathered_the_same_way() {
    let mut machine = Machine::default();
    let end = |machine: &mut Machine, number: u64, time_ms: u64| {
        let session = format!("s{number}");
        machine
            .run(time_ms, create(&session, TTL_MS))
            .outcome
            .unwrap();
        let did = machine.request(time_ms, "r", delete(&session));
        assert_eq!(did.events.len(), 1);
        did
    };
    for number in 0..REQUESTS_KEPT_MIN {
        end(&mut machine, number, T0);
    }
    end(&mut machine, REQUESTS_KEPT_MIN, T0 + REQUESTS_KEPT_MS);
    let full = kept(0, REQUESTS_KEPT_MIN + 1, T0);
    assert_eq!(machine.head().answers, full);
    let late = T0 + REQUESTS_KEPT_MS + 1;
    for number in 0..REQUESTS_KEPT_MIN {
        end(&mut machine, 2_000 + number, late);
    }
    assert_eq!(machine.head().answers, kept(1, REQUESTS_KEPT_MIN, late));
    let last = late + REQUESTS_KEPT_MS + 1;
    let did = end(&mut machine, 9_000, last);
    assert_eq!(machine.head().answers, kept(2, 1, last));
    let mut gone = cleared("s9000");
    gone.insert(RowPrefix::RequestEpoch(String::new(), 0));
    assert_eq!(did.changes.cleared, gone);
    assert_eq!(epochs(&machine.rows, ""), [(1, REQUESTS_KEPT_MIN), (2, 1)]);
    assert_eq!(machine.head().sessions, 0);
    machine.check_replay();
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
            resources: 0,
        });
}
