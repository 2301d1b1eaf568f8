//! Sessions that are bound to workers.

use std::collections::BTreeMap;

use snakepit_machine::{
    Answer, BINDINGS_PER_SESSION_MAX, BindWorker, Binding, Body, Payload, RejectionKind, SessionRow,
};

use crate::support::*;

fn to(worker: &str, bound: bool) -> Answer {
    Answer::WorkerBound {
        node: 2,
        worker: worker.into(),
        bound,
    }
}

fn bound(pool: &str, worker: &str) -> Payload {
    Payload::WorkerBound {
        pool: pool.into(),
        node: 2,
        worker: worker.into(),
    }
}

fn bindings(pairs: &[(&str, &str)]) -> BTreeMap<String, Binding> {
    let binding = |worker: &str| Binding {
        node: 2,
        worker: worker.into(),
    };
    pairs
        .iter()
        .map(|(pool, worker)| ((*pool).to_owned(), binding(worker)))
        .collect()
}

#[test]
fn a_session_is_bound_in_a_pool_and_unbound() {
    let mut machine = Machine::with_session("s");
    let did = machine.run(T0 + 5, bind("s", "p", "w", ""));
    assert_eq!(
        did,
        Did {
            outcome: Ok(to("w", true)),
            events: vec![event((2, 2, 2), "s", T0 + 5, None, bound("p", "w"))],
            changes: changed(vec![
                head(2, T0 + 5, 1),
                session_row(SessionRow {
                    revision: 2,
                    bindings: bindings(&[("p", "w")]),
                    ..new_session("s", T0)
                }),
            ]),
        }
    );
    let did = machine.run(T0 + 6, bind("s", "q", "x", "gone"));
    assert_eq!(did.outcome, Ok(to("x", true)));
    let both = bindings(&[("p", "w"), ("q", "x")]);
    assert_eq!(machine.session("s").bindings, both);
    let did = machine.run(T0 + 7, unbind("s", "p", "w"));
    let payload = Payload::WorkerUnbound {
        pool: "p".into(),
        worker: "w".into(),
        node: 2,
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::Done { existed: true }),
            events: vec![event((4, 4, 4), "s", T0 + 7, None, payload)],
            changes: changed(vec![
                head(4, T0 + 7, 1),
                session_row(SessionRow {
                    revision: 4,
                    bindings: bindings(&[("q", "x")]),
                    ..new_session("s", T0)
                }),
            ]),
        }
    );
    machine.check_replay();
}

#[test]
fn the_first_binding_holds_until_it_is_replaced() {
    let mut machine = Machine::with_session("s");
    machine.run(T0, bind("s", "p", "w", "")).outcome.unwrap();
    machine
        .run(T0, bind("s", "p", "w", ""))
        .only_answers(to("w", true));
    for replaces in ["", "x", "y"] {
        machine
            .run(T0, bind("s", "p", "x", replaces))
            .only_answers(to("w", false));
    }
    let did = machine.run(T0, bind("s", "p", "x", "w"));
    assert_eq!(did.outcome, Ok(to("x", true)));
    assert_eq!(did.payloads(), [&bound("p", "x")]);
    assert_eq!(machine.session("s").bindings, bindings(&[("p", "x")]));
    // Who comes late with the same finds it.
    machine
        .run(T0, bind("s", "p", "y", "w"))
        .only_answers(to("x", false));
    // A namesake on another node is another worker.
    let elsewhere = |replaces: &str| {
        Body::BindWorker(BindWorker {
            session_id: "s".into(),
            pool: "p".into(),
            node: 3,
            worker: "x".into(),
            replaces: replaces.into(),
        })
    };
    machine.run(T0, elsewhere("")).only_answers(to("x", false));
    machine.run(T0, elsewhere("x")).outcome.unwrap();
    assert_eq!(machine.session("s").bindings["p"].node, 3);
    machine.check_replay();
}

#[test]
fn only_the_worker_that_is_bound_is_unbound() {
    let mut machine = Machine::with_session("s");
    machine.run(T0, bind("s", "p", "w", "")).outcome.unwrap();
    for (pool, worker) in [("p", "x"), ("q", "w")] {
        machine
            .run(T0, unbind("s", pool, worker))
            .only_answers(Answer::Done { existed: false });
    }
    assert_eq!(machine.session("s").bindings, bindings(&[("p", "w")]));
}

#[test]
fn a_session_that_is_gone_is_not_bound() {
    let mut machine = Machine::with_session("s");
    for body in [bind("t", "p", "w", ""), unbind("t", "p", "w")] {
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::NotFound, "Session not found: t");
    }
    for body in [bind("s", "p", "w", ""), unbind("s", "p", "w")] {
        machine
            .run(T0 + TTL_MS, body)
            .only_refuses(RejectionKind::NotFound, "Session not found: s");
    }
    for body in [bind("", "p", "w", ""), unbind("", "p", "w")] {
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::NotFound, "Session not found: ");
    }
}

#[test]
fn a_binding_is_a_use_and_goes_with_its_session() {
    let mut machine = Machine::with_session("s");
    machine
        .run(T0 + TTL_MS / 2, bind("s", "p", "w", ""))
        .outcome
        .unwrap();
    assert_eq!(machine.session("s").touched_ms, T0 + TTL_MS / 2);
    machine.run(T0 + TTL_MS, delete("s")).outcome.unwrap();
    machine
        .run(T0 + TTL_MS, create("s", TTL_MS))
        .outcome
        .unwrap();
    assert_eq!(machine.session("s").bindings, BTreeMap::new());
    machine.check_replay();
}

#[test]
fn ids_and_counts_are_exact() {
    let mut machine = Machine::with_session("s");
    let longest = "n".repeat(256);
    let longer = "n".repeat(257);
    for (field, pool, worker) in [("pool", "", "w"), ("worker", "p", "")] {
        for body in [bind("s", pool, worker, ""), unbind("s", pool, worker)] {
            machine.run(T0, body).only_refuses(
                RejectionKind::Invalid,
                &format!("{field} is empty; hint: give 1 to 256 bytes"),
            );
        }
    }
    for (field, pool, worker) in [("pool", &*longer, "w"), ("worker", "p", &longer)] {
        for body in [bind("s", pool, worker, ""), unbind("s", pool, worker)] {
            machine.run(T0, body).only_refuses(
                RejectionKind::Invalid,
                &format!("{field} has 257 bytes, the limit is 256; hint: shorten it"),
            );
        }
    }
    machine
        .run(T0, bind("s", &longest, &longest, ""))
        .outcome
        .unwrap();
    for number in 1..BINDINGS_PER_SESSION_MAX {
        let body = bind("s", &format!("p{number}"), "w", "");
        machine.run(T0, body).outcome.unwrap();
    }
    machine.run(T0, bind("s", "more", "w", "")).only_refuses(
        RejectionKind::Exhausted,
        "session s is bound to workers of 64 pools, the limit is 64; hint: use fewer pools in a session",
    );
    // What is there can still be replaced.
    let did = machine.run(T0, bind("s", "p1", "x", "w"));
    assert_eq!(did.outcome, Ok(to("x", true)));
}
