//! Failover, repeats and what is told of them, against nodes that answer from a script.

mod fake;

use std::time::Duration;

use serde_json::json;
use snakepit_client::{CallRequest, Client, ClientError, ClientOptions, Endpoint, EventQuery};
use snakepit_proto::headers;
use tokio::net::TcpListener;
use tonic::Code;

use fake::{Act, Fake};

fn client(endpoints: &[&Endpoint]) -> Client {
    let options = ClientOptions {
        principal: "tester".into(),
        timeout: Duration::from_secs(3),
        attempt_timeout: Duration::from_millis(300),
        ..Default::default()
    };
    Client::new(endpoints.iter().map(|&endpoint| endpoint.clone()), options).unwrap()
}

async fn closed_port() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

const MAYBE: &[(&str, &str)] = &[(headers::DONE, "maybe")];
const NO: &[(&str, &str)] = &[(headers::DONE, "no")];

#[tokio::test]
async fn writes_are_repeated_with_the_same_request_id() {
    let acts = [
        Act::Fail(Code::Unavailable, NO),
        Act::Fail(Code::Unknown, MAYBE),
        Act::Hang,
    ];
    let (fake, endpoint) = Fake::start(acts).await;
    let client = client(&[&endpoint]);
    let answer = client
        .set_variable("s", "x", &json!(1), Some(3))
        .await
        .unwrap();
    assert_eq!((answer.value, answer.index), (7, 42));
    let ids = fake.ids();
    assert_eq!(ids.len(), 4);
    assert!(
        !ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]),
        "{ids:?}"
    );
    assert_eq!(fake.seen.lock().unwrap()[0].1, "tester");
    client
        .set_variable("s", "x", &json!(1), None)
        .await
        .unwrap();
    assert_ne!(fake.ids()[4], ids[0]);
}

#[tokio::test]
async fn a_dead_node_is_left_for_good() {
    let dead = closed_port().await;
    let (first, a) = Fake::start([]).await;
    let client = client(&[&dead, &a]);
    client
        .create_session("s", None, Default::default())
        .await
        .unwrap();
    assert_eq!(client.endpoint(), a);
    client.get_session("s").await.unwrap();
    let ids = first.ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[1], "", "reads carry no request id");
}

#[tokio::test]
async fn the_leader_that_is_named_is_followed() {
    let (leader, at) = Fake::start([]).await;
    let (_, follower) = Fake::start([Act::FailNaming(Code::Unavailable, at.to_string())]).await;
    let client = client(&[&follower]);
    client
        .create_session("s", None, Default::default())
        .await
        .unwrap();
    assert_eq!(leader.ids().len(), 1);
    assert_eq!(client.endpoint(), at);
}

#[tokio::test]
async fn what_is_refused_is_not_repeated() {
    let (fake, endpoint) = Fake::start([Act::Fail(Code::Aborted, NO)]).await;
    let error = client(&[&endpoint])
        .set_variable("s", "x", &json!(1), None)
        .await
        .unwrap_err();
    assert_eq!(error, ClientError::Conflict("scripted".into()));
    assert_eq!(fake.ids().len(), 1);
}

#[tokio::test]
async fn a_tool_call_that_may_have_begun_is_not_repeated() {
    let acts = [
        Act::Fail(Code::Unavailable, NO),
        Act::Fail(Code::Unavailable, MAYBE),
    ];
    let (fake, endpoint) = Fake::start(acts).await;
    let call = CallRequest {
        tool: "t".into(),
        ..Default::default()
    };
    let error = client(&[&endpoint]).call_tool(call).await.unwrap_err();
    assert!(matches!(error, ClientError::Unknown(_)) && error.maybe_done());
    assert_eq!(fake.ids().len(), 2);
}

#[tokio::test]
async fn a_keyed_call_that_is_lost_for_good_is_told_so_at_once() {
    const UNKNOWN: &[(&str, &str)] = &[(headers::ERROR_KIND, "unknown"), (headers::DONE, "maybe")];
    const LOST: &[(&str, &str)] = &[(headers::ERROR_KIND, "lost"), (headers::DONE, "maybe")];
    let acts = [
        Act::Fail(Code::Unknown, UNKNOWN),
        Act::Fail(Code::Unknown, LOST),
    ];
    let (fake, endpoint) = Fake::start(acts).await;
    let call = CallRequest {
        tool: "t".into(),
        idempotency_key: "k".into(),
        ..Default::default()
    };
    let error = client(&[&endpoint]).call_tool(call).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Lost(_)) && error.maybe_done(),
        "{error:?}"
    );
    assert_eq!(
        fake.ids().len(),
        2,
        "the first may be repeated, the second not"
    );
}

#[tokio::test]
async fn the_budget_holds_and_the_end_says_whether_it_may_be_done() {
    let dead = closed_port().await;
    let client = client(&[&dead]).with_timeout(Duration::from_millis(400));
    let began = std::time::Instant::now();
    let error = client.delete_session("s").await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable(_)), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(2));

    let acts = std::iter::repeat_n(Act::Fail(Code::Unavailable, NO), 100);
    let acts = [Act::Fail(Code::Unknown, MAYBE)].into_iter().chain(acts);
    let (_fake, endpoint) = Fake::start(acts).await;
    let client = client_at(&client, &endpoint);
    let error = client.delete_session("s").await.unwrap_err();
    assert!(matches!(error, ClientError::Unknown(_)), "{error:?}");
}

fn client_at(client: &Client, endpoint: &Endpoint) -> Client {
    client.at(endpoint).unwrap()
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told() {
    use futures_util::StreamExt as _;
    let (_fake, endpoint) = Fake::start([]).await;
    let mut events = client(&[&endpoint]).read_events(EventQuery::default());
    assert!(matches!(
        events.next().await,
        Some(Err(ClientError::Other(_)))
    ));
    assert!(events.next().await.is_none());
}
