//! Watches that break and go on, against nodes that answer from a script.

mod fake;

use futures_util::StreamExt as _;
use snakepit_client::{Client, ClientOptions, UpdateStream, WatchQuery};
use snakepit_proto::bridge::{Variable, VariableUpdate, WatchVariablesRequest};
use tonic::Status;

use fake::{Fake, Script};

fn update(kind: &str, id: &str, version: i32, position: u64) -> Result<VariableUpdate, Status> {
    Ok(VariableUpdate {
        variable_id: id.into(),
        variable: Some(Variable {
            version,
            ..Default::default()
        }),
        update_type: kind.into(),
        position,
        ..Default::default()
    })
}

fn set(version: i32, position: u64) -> Result<VariableUpdate, Status> {
    update("value_change", "x", version, position)
}

fn lost() -> Result<VariableUpdate, Status> {
    Err(Status::unavailable("this node hears no leader"))
}

/// Two nodes, each of which gives one stream after the other.
async fn nodes(a: Vec<Script>, b: Vec<Script>) -> ([Fake; 2], Client) {
    let (first, at) = Fake::start([]).await;
    let (second, or) = Fake::start([]).await;
    first.streams.lock().unwrap().extend(a);
    second.streams.lock().unwrap().extend(b);
    let client = Client::new([at, or], ClientOptions::default()).unwrap();
    ([first, second], client)
}

fn watch(client: &Client, initial: bool) -> UpdateStream {
    client.watch_variables(WatchQuery {
        session: "s".into(),
        initial,
        ..Default::default()
    })
}

async fn versions(updates: UpdateStream, count: usize) -> Vec<u64> {
    let given = updates.take(count);
    given
        .map(|update| update.unwrap().variable.version)
        .collect()
        .await
}

fn asked(fake: &Fake) -> Vec<WatchVariablesRequest> {
    fake.watched.lock().unwrap().clone()
}

#[tokio::test]
async fn a_watch_goes_on_at_another_node_behind_its_last_update() {
    let ([a, b], client) = nodes(
        vec![vec![set(1, 10), set(2, 12), lost()], vec![set(5, 20)]],
        vec![vec![set(3, 15), set(4, 17)]],
    )
    .await;
    // The second stream ends without a word, as those of a node that stops.
    assert_eq!(versions(watch(&client, false), 5).await, [1, 2, 3, 4, 5]);
    let positions = |fake| {
        asked(fake)
            .iter()
            .map(|r| r.after_position)
            .collect::<Vec<_>>()
    };
    assert_eq!((positions(&a), positions(&b)), (vec![0, 17], vec![12]));
}

#[tokio::test]
async fn a_watch_without_updates_goes_on_behind_its_beginning() {
    let ([a, b], client) = nodes(vec![vec![lost()]], vec![vec![set(1, 9)]]).await;
    assert_eq!(versions(watch(&client, false), 1).await, [1]);
    assert_eq!(asked(&a)[0].after_index, 0);
    assert_eq!(asked(&b)[0].after_index, 42);
}

#[tokio::test]
async fn initial_values_that_broke_off_come_once() {
    let initial = |id, version, position| update("initial_value", id, version, position);
    let ([_, b], client) = nodes(
        vec![vec![initial("x", 1, 0), lost()]],
        vec![vec![initial("x", 1, 0), initial("y", 7, 30), set(2, 31)]],
    )
    .await;
    assert_eq!(versions(watch(&client, true), 3).await, [1, 7, 2]);
    assert!(asked(&b)[0].include_initial_values);
}

#[tokio::test]
async fn a_session_that_ends_and_a_slow_watcher_end_the_watch() {
    let ends = [
        (Status::not_found("over"), "not_found"),
        (Status::aborted("over"), "conflict"),
    ];
    for (status, kind) in ends {
        let (_, client) = nodes(vec![vec![set(1, 1), Err(status)]], vec![]).await;
        let mut updates = watch(&client, false);
        assert!(updates.next().await.unwrap().is_ok());
        let ended = updates.next().await.unwrap().unwrap_err();
        assert_eq!((ended.kind(), ended.message()), (kind, "over"));
        assert!(updates.next().await.is_none());
    }
}
