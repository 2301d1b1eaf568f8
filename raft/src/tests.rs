//! Tests of the queue and its door.

use std::sync::{Arc, Barrier};

use snakepit_machine::{Body, Command, DeleteSession, Origin, TouchSession};
use tokio::sync::mpsc;

use crate::ProposeError;
use crate::intake::Intake;
use crate::queue::{Group, Stage};

fn command(request_id: &str) -> Command {
    Command {
        origin: Origin {
            request_id: request_id.into(),
            ..Origin::default()
        },
        body: Body::DeleteSession(DeleteSession {
            session_id: "s".into(),
            force: false,
        }),
    }
}

fn intake(groups_max: usize, bytes_max: usize) -> (Intake, mpsc::Receiver<Group>) {
    let (queue, waiting) = mpsc::channel(groups_max);
    (Intake::new(queue, bytes_max), waiting)
}

#[test]
fn what_is_sent_cannot_be_given_up_nor_the_other_way_round() {
    let sent = Stage::default();
    assert!(sent.send());
    assert!(!sent.give_up());
    assert!(sent.send(), "it may be sent again");

    let given_up = Stage::default();
    assert!(given_up.give_up());
    assert!(!given_up.clone().send());
    assert!(given_up.give_up());
}

#[test]
fn what_came_back_undone_can_be_given_up_unless_an_earlier_try_left_a_doubt() {
    let undone = Stage::default();
    assert!(undone.send());
    undone.come_back();
    assert!(undone.give_up());
    assert!(!undone.send());
    undone.come_back();
    assert!(!undone.send(), "given up is given up");

    let doubtful = Stage::default();
    assert!(doubtful.send());
    doubtful.doubt();
    assert!(doubtful.send());
    doubtful.come_back();
    assert!(!doubtful.give_up());
}

#[test]
fn of_one_who_sends_and_one_who_gives_up_exactly_one_wins() {
    for _ in 0..2_000 {
        let stage = Stage::default();
        let start = Arc::new(Barrier::new(2));
        let sender = std::thread::spawn({
            let (stage, start) = (stage.clone(), start.clone());
            move || {
                start.wait();
                stage.send()
            }
        });
        start.wait();
        let given_up = stage.give_up();
        assert_ne!(sender.join().unwrap(), given_up);
    }
}

#[tokio::test]
async fn the_queue_takes_so_many_and_no_more() {
    let (intake, mut waiting) = intake(2, 1_000);
    let _first = intake.take(vec![command("")], 10, false).unwrap();
    let _second = intake.take(vec![command("")], 10, false).unwrap();
    let refused = intake.take(vec![command("")], 10, false).unwrap_err();
    assert_eq!(
        refused,
        ProposeError::Exhausted(
            "2 writes wait, the limit propose_queue_max; hint: back off and retry".into()
        )
    );
    assert!(!refused.maybe_done());
    waiting.recv().await.unwrap().answer(Ok((1, Vec::new())));
    intake.take(vec![command("")], 10, false).unwrap();
}

#[tokio::test]
async fn the_queue_takes_so_many_bytes_and_gives_them_back_with_the_answer() {
    let (intake, mut waiting) = intake(100, 1_000);
    let (first, _) = intake.take(vec![command("")], 600, false).unwrap();
    let refused = || {
        ProposeError::Exhausted(
            "the writes that wait reach 1000 bytes, the limit propose_queue_bytes_max; hint: back off and retry"
                .into(),
        )
    };
    assert_eq!(
        intake.take(vec![command("")], 401, false).unwrap_err(),
        refused()
    );
    let _second = intake.take(vec![command("")], 400, false).unwrap();
    assert_eq!(
        intake.take(vec![command("")], 0, false).unwrap_err(),
        refused(),
        "each weighs something"
    );

    // Its bytes are in use until it is answered, not only until it leaves the queue.
    let group = waiting.recv().await.unwrap();
    assert_eq!(
        intake.take(vec![command("")], 600, false).unwrap_err(),
        refused()
    );
    group.answer(Ok((7, Vec::new())));
    assert_eq!(first.await.unwrap(), Ok((7, Vec::new())));
    intake.take(vec![command("")], 600, false).unwrap();
}

#[tokio::test]
async fn one_write_larger_than_the_queue_passes_alone() {
    let (intake, mut waiting) = intake(100, 1_000);
    let _large = intake.take(vec![command("")], 5_000, false).unwrap();
    assert!(intake.take(vec![command("")], 1, false).is_err());
    waiting.recv().await.unwrap().answer(Ok((1, Vec::new())));
    intake.take(vec![command("")], 1, false).unwrap();
}

#[tokio::test]
async fn a_refused_write_gives_its_bytes_back() {
    let (intake, mut waiting) = intake(1, 1_000);
    let _first = intake.take(vec![command("")], 10, false).unwrap();
    for _ in 0..5 {
        assert!(intake.take(vec![command("")], 900, false).is_err());
    }
    waiting.recv().await.unwrap().answer(Ok((1, Vec::new())));
    intake.take(vec![command("")], 1_000, false).unwrap();
}

#[tokio::test]
async fn a_closed_queue_is_a_node_that_stops() {
    let (intake, mut waiting) = intake(10, 1_000);
    waiting.close();
    assert_eq!(
        intake.take(vec![command("")], 10, false).unwrap_err(),
        ProposeError::Stopping
    );
}

#[tokio::test]
async fn what_is_dropped_before_it_was_sent_is_not_done_and_after_it_is_unknown() {
    let (intake, mut waiting) = intake(10, 1_000);
    let (answer, _) = intake.take(vec![command("")], 10, true).unwrap();
    drop(waiting.recv().await.unwrap());
    assert_eq!(answer.await.unwrap(), Err(ProposeError::Stopping));

    let (answer, stage) = intake.take(vec![command("")], 10, true).unwrap();
    let group = waiting.recv().await.unwrap();
    assert!(group.stage.send());
    drop(group);
    assert!(answer.await.unwrap().unwrap_err().maybe_done());
    assert!(!stage.give_up());
}

#[tokio::test]
async fn only_what_is_harmless_twice_is_repeatable() {
    let (intake, mut waiting) = intake(10, 1_000);
    let touch = Command {
        origin: Origin::default(),
        body: Body::TouchSession(TouchSession {
            session_id: "s".into(),
        }),
    };
    let cases = [
        (vec![command("r")], true),
        (vec![command("")], false),
        (vec![touch.clone()], true),
        (vec![command("r"), touch], true),
        (vec![command("r"), command("")], false),
    ];
    for (commands, repeatable) in cases {
        let _answer = intake.take(commands, 10, false).unwrap();
        assert_eq!(waiting.recv().await.unwrap().repeatable(), repeatable);
    }
}
