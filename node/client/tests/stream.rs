//! Streaming calls that lose their node.

mod fake;

use fake::{Chunks, Fake};
use futures_util::StreamExt as _;
use snakepit_client::{CallRequest, Client, ClientError, ClientOptions};
use snakepit_proto::bridge::ToolChunk;
use snakepit_proto::headers;
use tonic::Status;

fn chunk(call_id: &str, number: u64) -> Result<ToolChunk, Status> {
    Ok(ToolChunk {
        call_id: call_id.into(),
        number,
        data: number.to_string().into_bytes().into(),
        ..Default::default()
    })
}

fn broken() -> Result<ToolChunk, Status> {
    Err(Status::unavailable("the node is gone"))
}

fn of_kind(kind: &'static str) -> Result<ToolChunk, Status> {
    let mut status = Status::unknown("ValueError: odd");
    let metadata = status.metadata_mut();
    metadata.insert(headers::ERROR_KIND, kind.parse().unwrap());
    metadata.insert(headers::DONE, "maybe".parse().unwrap());
    Err(status)
}

/// Two nodes, each with what its streams give, and the numbers and the error that a call has from them.
async fn call(
    first: Vec<Chunks>,
    second: Vec<Chunks>,
    request: CallRequest,
) -> (Vec<u64>, Option<ClientError>, Fake) {
    let (one, at_one) = Fake::start([]).await;
    let (two, at_two) = Fake::start([]).await;
    one.calls.lock().unwrap().extend(first);
    two.calls.lock().unwrap().extend(second);
    let client = Client::new([at_one, at_two], ClientOptions::default()).unwrap();
    let mut chunks = client.call_stream(request);
    let (mut numbers, mut error) = (Vec::new(), None);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => numbers.push(chunk.json().unwrap().as_u64().unwrap()),
            Err(failed) => error = Some(failed),
        }
    }
    (numbers, error, two)
}

fn request(idempotent: bool) -> CallRequest {
    CallRequest {
        tool: "count".into(),
        idempotent,
        ..CallRequest::default()
    }
}

#[tokio::test]
async fn a_stream_goes_on_at_another_node_behind_its_last_chunk() {
    let first = vec![vec![chunk("c", 0), chunk("c", 1), broken()]];
    // A chunk that was given already is not given again.
    let second = vec![vec![chunk("c", 1), chunk("c", 2)]];
    let (numbers, error, two) = call(first, second, request(false)).await;
    assert_eq!((numbers, error), (vec![0, 1, 2], None));
    let called = two.called.lock().unwrap();
    assert_eq!(
        (called[0].resume_call_id.as_str(), called[0].resume_from),
        ("c", 2)
    );
}

#[tokio::test]
async fn a_stream_that_cannot_go_on_ends_with_why_it_broke() {
    let first = vec![vec![chunk("c", 0), broken()]];
    let (numbers, error, two) = call(first, vec![], request(false)).await;
    assert_eq!(numbers, [0]);
    assert!(error.unwrap().message().contains("the node is gone"));
    assert_eq!(
        two.called.lock().unwrap().len(),
        1,
        "asked once whether it may"
    );
}

#[tokio::test]
async fn a_stream_without_a_call_id_is_not_repeated() {
    let first = vec![vec![chunk("", 0), broken()]];
    let (numbers, error, two) = call(first, vec![], request(true)).await;
    assert_eq!(numbers, [0]);
    assert!(error.is_some() && two.called.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_begins_anew_only_where_it_may_run_twice() {
    let maybe = || vec![vec![Err(Status::unknown("lost"))]];
    let (numbers, error, _) = call(maybe(), vec![vec![chunk("", 0)]], request(true)).await;
    assert_eq!((numbers, error), (vec![0], None));
    let (numbers, error, two) = call(maybe(), vec![vec![chunk("", 0)]], request(false)).await;
    assert!(numbers.is_empty() && error.unwrap().maybe_done());
    assert!(two.called.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_the_tool_raised_and_what_is_lost_for_good_end_a_stream() {
    for (kind, outcome) in [("tool", "tool"), ("lost", "lost")] {
        let first = vec![vec![chunk("c", 0), of_kind(kind)]];
        let (numbers, error, two) = call(first, vec![vec![chunk("c", 1)]], request(true)).await;
        let error = error.unwrap();
        assert_eq!((numbers, error.kind()), (vec![0], outcome));
        assert_eq!(error.message(), "ValueError: odd");
        assert!(two.called.lock().unwrap().is_empty(), "{kind}: asked again");
    }
    let first = vec![vec![chunk("c", 0), of_kind("unknown")]];
    let (numbers, error, _) = call(first, vec![vec![chunk("c", 1)]], request(true)).await;
    assert_eq!((numbers, error), (vec![0, 1], None));
}
