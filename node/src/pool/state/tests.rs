//! Who gets which call, without processes: exact decisions on plain data.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_proto::bridge::{ToolError, ToolSpec};
use snakepit_proto::worker as wire;
use tokio::sync::oneshot;

use super::super::call::{CallContext, CallOutcome};
use super::super::error::CallError;
use super::super::link::Link;
use super::super::settings::{Concurrency, PoolSettings};
use super::circuit::Phase;
use super::{About, Reply, STALL, State, TakenBack, Ticket, Wanted, WorkerKey, split_token, token};

type Answer = oneshot::Receiver<Result<CallOutcome, CallError>>;

fn settings() -> PoolSettings {
    PoolSettings {
        name: "p".into(),
        concurrency: Concurrency::Thread,
        queue_max: 2,
        breaker_failures: 2,
        breaker_reset_ms: 1_000,
        ..PoolSettings::default()
    }
}

struct Bench {
    state: State,
    now: Instant,
    next: u64,
}

impl Bench {
    /// Workers 1 to `workers`, with these slots and credits.
    fn new(workers: u64, slots: usize, credits: usize) -> Self {
        let mut bench = Self {
            state: State::new(Arc::new(settings())),
            now: Instant::now(),
            next: 100,
        };
        for key in 1..=workers {
            bench.join(key, slots, credits);
        }
        bench
    }

    fn join(&mut self, key: WorkerKey, slots: usize, credits: usize) {
        self.join_with(key, slots, credits, &["echo"]);
    }

    fn join_with(&mut self, key: WorkerKey, slots: usize, credits: usize, tools: &[&str]) {
        let spec = |name: &&str| ToolSpec {
            name: (*name).into(),
            ..Default::default()
        };
        let link = Arc::new(Link::new(key));
        self.state
            .join(
                link,
                format!("w{key}"),
                tools.iter().map(spec).collect(),
                About {
                    slots,
                    credits,
                    tools: tools.iter().map(|&name| name.into()).collect(),
                    ..About::default()
                },
                None,
                self.now,
            )
            .act();
    }

    fn call(&mut self, idempotent: bool) -> (u64, Answer) {
        let (key, answer, refusal) = self.call_for(Wanted::Any, idempotent);
        drop(refusal);
        (key, answer)
    }

    fn call_for(&mut self, wanted: Wanted, idempotent: bool) -> (u64, Answer, Option<CallError>) {
        self.call_of("echo", wanted, idempotent)
    }

    fn call_of(
        &mut self,
        tool: &str,
        wanted: Wanted,
        idempotent: bool,
    ) -> (u64, Answer, Option<CallError>) {
        self.call_sent(tool, wanted, idempotent, false)
    }

    fn call_sent(
        &mut self,
        tool: &str,
        wanted: Wanted,
        idempotent: bool,
        or_back: bool,
    ) -> (u64, Answer, Option<CallError>) {
        self.next += 1;
        let key = self.next;
        let wanted_movable = !or_back;
        let (reply, answer) = oneshot::channel();
        let context = CallContext {
            tool: tool.into(),
            ..Default::default()
        };
        let call = wire::Call {
            sequence: key,
            tool: tool.into(),
            ..Default::default()
        };
        let ticket = Ticket {
            context,
            call: Some(Box::new(call)),
            bytes: 10,
            deadline: self.now + Duration::from_secs(60),
            admitted: self.now,
            idempotent,
            wanted,
            or_back,
            movable: wanted_movable,
            begun: false,
            secret: 7,
            reply: Reply::Once(reply),
        };
        match self.state.admit(key, ticket, self.now) {
            Ok((_, after)) => {
                after.act();
                (key, answer, None)
            }
            Err(error) => (key, answer, Some(error)),
        }
    }

    /// The sequences of the next message to a worker; None where it is not of calls.
    fn sent(&mut self, worker: WorkerKey) -> Option<Vec<u64>> {
        match self.state.next_message(worker, self.now)?.message? {
            wire::to_worker::Message::Calls(calls) => {
                Some(calls.calls.iter().map(|call| call.sequence).collect())
            }
            _ => None,
        }
    }

    fn cancelled(&mut self, worker: WorkerKey) -> Vec<u64> {
        match self
            .state
            .next_message(worker, self.now)
            .and_then(|message| message.message)
        {
            Some(wire::to_worker::Message::Cancel(cancel)) => cancel.sequences,
            other => panic!("no cancel, but {other:?}"),
        }
    }

    fn result(&mut self, worker: WorkerKey, key: u64, took_us: u64, error: Option<&str>) {
        let error = error.map(|kind| ToolError {
            r#type: kind.to_owned(),
            ..Default::default()
        });
        let result = wire::Result {
            sequence: key,
            success: error.is_none(),
            error,
            execution_time_us: took_us,
            ..Default::default()
        };
        self.state.results(worker, vec![result], self.now).act();
    }

    /// Teach it that the tool is quick.
    fn make_quick(&mut self, worker: WorkerKey) {
        for _ in 0..30 {
            let (key, _answer) = self.call(false);
            assert_eq!(self.sent(worker), Some(vec![key]));
            self.result(worker, key, 10, None);
        }
    }
}

#[test]
fn calls_spread_over_free_slots_then_wait_then_are_refused() {
    let mut bench = Bench::new(2, 1, 8);
    let (first, _a) = bench.call(false);
    let (second, _b) = bench.call(false);
    let (third, _c) = bench.call(false);
    let (_, _d) = bench.call(false);
    let (_, mut refused) = bench.call(false);
    assert_eq!(
        refused.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    );
    let sent: HashSet<_> = [bench.sent(1), bench.sent(2)]
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(sent, HashSet::from([first, second]));
    assert_eq!((bench.state.queued(), bench.state.free()), (2, 0));
    // First come, first served.
    let worker = if bench.state.context(first, 7).unwrap().worker_id == "w1" {
        1
    } else {
        2
    };
    bench.result(worker, first, 10, None);
    assert_eq!(bench.sent(worker), Some(vec![third]));
}

#[test]
fn only_quick_tools_wait_at_a_worker_and_in_one_message() {
    let mut bench = Bench::new(1, 1, 4);
    bench.make_quick(1);
    let keys: Vec<_> = (0..5).map(|_| bench.call(false)).collect();
    let expected: Vec<_> = keys.iter().take(4).map(|(key, _)| *key).collect();
    assert_eq!(bench.sent(1), Some(expected));
    assert_eq!(bench.state.queued(), 1);
    // One slow run, and it is quick no more.
    bench.result(1, keys[0].0, 1_000_000, None);
    assert_eq!(bench.sent(1), None);
    assert_eq!(bench.state.queued(), 1);
}

#[test]
fn a_stalled_worker_gives_back_what_has_not_begun() {
    let mut bench = Bench::new(1, 1, 4);
    bench.make_quick(1);
    let (first, _a) = bench.call(false);
    let (second, mut answer) = bench.call(false);
    assert_eq!(bench.sent(1), Some(vec![first, second]));
    bench.join(2, 1, 4);
    bench.now += STALL;
    let (wake, lines) = bench.state.unstall(bench.now);
    assert_eq!((wake.len(), lines), (1, true));
    assert_eq!(bench.cancelled(1), [second]);
    bench.result(1, second, 0, Some("Cancelled"));
    assert!(answer.try_recv().is_err(), "the caller hears nothing of it");
    assert_eq!(bench.sent(2), Some(vec![second]));
    bench.result(2, second, 10, None);
    assert!(answer.try_recv().unwrap().unwrap().success);
}

#[test]
fn a_death_moves_what_was_not_sent_and_tells_of_the_rest() {
    let mut bench = Bench::new(1, 3, 8);
    let (lost, mut lost_answer) = bench.call(false);
    let (idempotent, mut idempotent_answer) = bench.call(true);
    assert_eq!(bench.sent(1), Some(vec![lost, idempotent]));
    let (unsent, mut unsent_answer) = bench.call(false);
    bench.state.leave(1, false, bench.now).act();
    let died = || {
        Err(CallError::WorkerDied {
            worker_id: "w1".into(),
            maybe: true,
        })
    };
    assert_eq!(lost_answer.try_recv().unwrap(), died());
    assert_eq!(
        idempotent_answer.try_recv().unwrap(),
        died(),
        "running it again is the router's business"
    );
    assert!(unsent_answer.try_recv().is_err());
    assert!(
        bench.state.context(unsent, 7).is_none(),
        "the old token is void"
    );
    bench.join(2, 3, 8);
    assert_eq!(bench.sent(2), Some(vec![unsent]));
}

#[test]
fn a_call_goes_to_the_worker_it_would_rather_have_while_that_is_free() {
    let mut bench = Bench::new(2, 1, 8);
    let (first, _a, _) = bench.call_for(Wanted::Rather("w2".into()), false);
    assert_eq!(bench.sent(2), Some(vec![first]));
    let (second, _b, _) = bench.call_for(Wanted::Rather("w2".into()), false);
    assert_eq!(bench.sent(1), Some(vec![second]));
}

#[test]
fn a_bound_call_waits_for_its_worker_alone_and_holds_nobody_up() {
    let mut bench = Bench::new(2, 1, 8);
    let only = || Wanted::Only("w1".into(), true);
    let (first, _a, _) = bench.call_for(only(), false);
    let (second, _b, _) = bench.call_for(only(), false);
    assert_eq!(bench.sent(1), Some(vec![first]));
    assert_eq!((bench.state.queued(), bench.sent(2)), (1, None));
    let (other, _c) = bench.call(false);
    assert_eq!(bench.sent(2), Some(vec![other]), "others pass it by");
    bench.result(1, first, 10, None);
    assert_eq!(bench.sent(1), Some(vec![second]));
}

#[test]
fn a_bound_call_is_refused_where_it_may_not_wait_or_its_worker_is_gone() {
    let mut bench = Bench::new(2, 1, 8);
    let (first, mut answer, _) = bench.call_for(Wanted::Only("w1".into(), true), false);
    assert_eq!(bench.sent(1), Some(vec![first]));
    let (_, _, busy) = bench.call_for(Wanted::Only("w1".into(), false), false);
    let worker_id = || "w1".to_owned();
    let pool = || "p".to_owned();
    let busy_error = CallError::BoundWorkerBusy {
        pool: pool(),
        worker_id: worker_id(),
    };
    assert_eq!(busy, Some(busy_error));
    let (_, mut waits, _) = bench.call_for(Wanted::Only("w1".into(), true), false);
    bench.state.leave(1, false, bench.now).act();
    let gone = CallError::BoundWorkerGone {
        pool: pool(),
        worker_id: worker_id(),
    };
    assert!(answer.try_recv().unwrap().unwrap_err().maybe_done());
    assert_eq!(waits.try_recv().unwrap(), Err(gone.clone()));
    let (_, _, refused) = bench.call_for(Wanted::Only("w1".into(), true), false);
    assert_eq!(refused, Some(gone));
}

#[test]
fn a_tainted_worker_is_left_alone_while_there_is_another() {
    let mut bench = Bench::new(2, 1, 8);
    bench.state.worker_mut(1).unwrap().tainted_until = Some(bench.now + Duration::from_secs(60));
    let (first, _a) = bench.call(false);
    let (second, _b) = bench.call(false);
    assert_eq!(bench.sent(2), Some(vec![first]));
    assert_eq!((bench.sent(1), bench.state.queued()), (None, 1));
    bench.state.leave(2, true, bench.now).act();
    assert_eq!(bench.sent(1), Some(vec![first]), "better than nobody");
    bench.now += Duration::from_secs(60);
    bench.join(3, 1, 8);
    assert_eq!(bench.sent(3), Some(vec![second]));
}

#[test]
fn a_tools_circuit_opens_is_tried_and_closes() {
    let mut bench = Bench::new(1, 1, 8);
    let lose = |bench: &mut Bench, worker| {
        let (key, _answer) = bench.call(false);
        assert_eq!(bench.sent(worker), Some(vec![key]));
        bench.state.leave(worker, false, bench.now).act();
        bench.join(worker + 1, 1, 8);
    };
    lose(&mut bench, 1);
    lose(&mut bench, 2);
    let (_, _, refused) = bench.call_for(Wanted::Any, false);
    let Some(CallError::CircuitOpen { failures: 2, .. }) = refused else {
        panic!("{refused:?}");
    };
    bench.now += Duration::from_secs(1);
    let (key, _answer) = bench.call(false);
    assert_eq!(bench.sent(3), Some(vec![key]));
    let (_, _, second) = bench.call_for(Wanted::Any, false);
    assert!(second.is_some(), "one trial at a time");
    bench.result(3, key, 10, None);
    assert_eq!(bench.state.circuits().count(), 0);
    assert_eq!(Phase::default(), Phase::Closed);
    let (_, _, passes) = bench.call_for(Wanted::Any, false);
    assert!(passes.is_none());
}

#[test]
fn a_worker_that_dials_again_keeps_its_calls() {
    let mut bench = Bench::new(1, 3, 8);
    let (kept, mut kept_answer) = bench.call(false);
    let (lost, mut lost_answer) = bench.call(false);
    assert_eq!(bench.sent(1), Some(vec![kept, lost]));
    let (unsent, _unsent_answer) = bench.call(false);
    let old = bench.state.worker_mut(1).unwrap().link.clone();
    bench.state.suspend(&old, bench.now).act();
    assert_eq!((bench.state.free(), bench.state.queued()), (0, 1));
    let again = Arc::new(Link::new(1));
    let after = bench.state.rejoin(&again, &[kept], bench.now);
    after.expect("it is awaited").act();
    assert!(lost_answer.try_recv().unwrap().unwrap_err().maybe_done());
    assert_eq!(bench.sent(1), Some(vec![unsent]));
    // The old stream's end is seen late.
    bench.state.suspend(&old, bench.now).act();
    bench.result(1, kept, 10, None);
    assert!(kept_answer.try_recv().unwrap().unwrap().success);
    let stranger = Arc::new(Link::new(9));
    assert!(bench.state.rejoin(&stranger, &[], bench.now).is_none());
}

#[test]
fn what_a_drained_worker_left_had_not_begun() {
    let mut bench = Bench::new(1, 1, 8);
    let (key, mut answer) = bench.call(false);
    assert_eq!(bench.sent(1), Some(vec![key]));
    bench.state.leave(1, true, bench.now).act();
    assert!(answer.try_recv().is_err());
    bench.join(2, 1, 8);
    assert_eq!(bench.sent(2), Some(vec![key]));
}

#[test]
fn taking_back_tells_where_the_call_was() {
    let mut bench = Bench::new(1, 1, 8);
    let expired = |maybe| CallError::DeadlineExceeded { maybe };
    let (running, mut answer) = bench.call(false);
    let (queued, mut queued_answer) = bench.call(false);
    let (taken, after) = bench.state.take_back(queued, "", true, expired, bench.now);
    after.act();
    assert_eq!(taken, TakenBack::Unsent);
    assert_eq!(queued_answer.try_recv().unwrap(), Err(expired(false)));
    assert_eq!(bench.sent(1), Some(vec![running]));
    let (taken, after) = bench
        .state
        .take_back(running, "late", true, expired, bench.now);
    after.act();
    assert_eq!(taken, TakenBack::Running(1));
    assert_eq!(answer.try_recv().unwrap(), Err(expired(true)));
    assert_eq!(bench.cancelled(1), [running]);
    assert!(bench.state.still_cancelled(1, running));
    // It gets nothing else until it has answered.
    let (next, _answer) = bench.call(false);
    assert_eq!(bench.sent(1), None);
    bench.result(1, running, 5, Some("Cancelled"));
    assert!(!bench.state.still_cancelled(1, running));
    assert_eq!(bench.sent(1), Some(vec![next]));
    let (taken, _) = bench.state.take_back(running, "", true, expired, bench.now);
    assert_eq!(taken, TakenBack::Ended);
}

#[test]
fn a_call_taken_back_before_it_was_sent_never_is() {
    let mut bench = Bench::new(1, 1, 8);
    let (key, _answer) = bench.call(false);
    let cancelled = |maybe| CallError::Cancelled { maybe };
    let (taken, _) = bench.state.take_back(key, "", false, cancelled, bench.now);
    assert_eq!(taken, TakenBack::Unsent);
    assert_eq!(bench.sent(1), None);
    assert_eq!(bench.state.free(), 1);
}

#[test]
fn a_closed_pool_refuses_what_waits_and_what_comes_back() {
    let mut bench = Bench::new(1, 1, 8);
    let (_, mut unsent) = bench.call(false);
    bench.join(2, 1, 8);
    let (sent, mut idempotent) = bench.call(true);
    assert_eq!(bench.sent(2), Some(vec![sent]));
    let (_, mut waits) = bench.call(false);
    bench.state.close().act();
    assert_eq!(waits.try_recv().unwrap(), Err(CallError::Draining));
    bench.state.leave(2, false, bench.now).act();
    assert!(idempotent.try_recv().unwrap().unwrap_err().maybe_done());
    bench.state.leave(1, false, bench.now).act();
    assert_eq!(unsent.try_recv().unwrap(), Err(CallError::Draining));
}

#[test]
fn tokens_split_into_what_they_were_made_of() {
    assert_eq!(split_token(&token(3, 9)), Some((3, 9)));
    assert_eq!(
        split_token(&token(u64::MAX, u128::MAX)),
        Some((u64::MAX, u128::MAX))
    );
    for bad in ["", "x", &"é".repeat(24), &"+".repeat(48), &"0".repeat(47)] {
        assert_eq!(split_token(bad), None, "{bad}");
    }
}

#[test]
fn a_call_goes_to_a_worker_that_has_its_tool() {
    let mut bench = Bench::new(1, 1, 1);
    bench.join_with(2, 1, 1, &["echo", "new"]);
    let on = |bench: &Bench, key: u64| {
        let has = |worker: &&super::Worker| worker.running.contains_key(&key);
        bench
            .state
            .workers()
            .iter()
            .find(has)
            .map(|worker| worker.key)
    };
    let (first, _one, _) = bench.call_of("new", Wanted::Any, false);
    assert_eq!(on(&bench, first), Some(2));
    // It waits for the worker that has it, and holds nobody else up.
    let (second, _two, _) = bench.call_of("new", Wanted::Any, false);
    assert_eq!(on(&bench, second), None);
    let (old, _three, _) = bench.call_of("echo", Wanted::Any, false);
    assert_eq!(on(&bench, old), Some(1));
    bench.join_with(3, 1, 1, &["echo", "new"]);
    assert_eq!(on(&bench, second), Some(3));
}

#[test]
fn a_call_that_may_go_back_does_not_wait() {
    let mut bench = Bench::new(1, 1, 1);
    let (_, _, refusal) = bench.call_sent("echo", Wanted::Any, false, true);
    assert!(refusal.is_none(), "a slot is free: {refusal:?}");
    for wanted in [Wanted::Any, Wanted::Rather("w1".into())] {
        let (_, _, refusal) = bench.call_sent("echo", wanted, false, true);
        assert!(
            matches!(refusal, Some(CallError::NoneFree { .. })),
            "{refusal:?}"
        );
    }
    assert_eq!(bench.state.queued(), 0);
    let (_, _, refusal) = bench.call_sent("echo", Wanted::Any, false, false);
    assert!(refusal.is_none(), "others wait: {refusal:?}");
    assert_eq!(bench.state.queued(), 1);
}

#[test]
fn calls_that_wait_are_given_back_the_oldest_first() {
    let mut bench = Bench::new(1, 1, 1);
    let (_, mut runs) = bench.call(false);
    let (_, mut first, _) = bench.call_for(Wanted::Rather("w1".into()), false);
    let (_, mut bound, _) = bench.call_for(Wanted::Only("w1".into(), true), false);
    bench.state.give_back(5).act();
    let told = first.try_recv().unwrap().unwrap_err();
    assert!(matches!(told, CallError::NoneFree { .. }), "{told:?}");
    assert!(runs.try_recv().is_err() && bound.try_recv().is_err());
    let (_, mut second) = bench.call(false);
    bench.state.give_back(0).act();
    assert!(second.try_recv().is_err(), "there is no room for it");
    assert_eq!(bench.state.queued(), 2);
}
