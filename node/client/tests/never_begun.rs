//! What a node that goes away did not take up is not done, and is said to be so.

use snakepit_proto::cluster::StatusRequest;
use snakepit_proto::cluster::cluster_client::ClusterClient;
use snakepit_proto::transport::never_begun;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;
use tonic::transport::Endpoint;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const PREFACE_BYTES: usize = 24;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, 0]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn go_away(last_stream: u32, reason: u32) -> Vec<u8> {
    let payload = [last_stream.to_be_bytes(), reason.to_be_bytes()].concat();
    frame(GOAWAY, 0, &payload)
}

/// Returns once a request has come.
async fn take_request(connection: &mut TcpStream) {
    connection
        .read_exact(&mut [0; PREFACE_BYTES])
        .await
        .unwrap();
    connection
        .write_all(&frame(SETTINGS, 0, &[]))
        .await
        .unwrap();
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        connection.read_exact(&mut vec![0; length]).await.unwrap();
        if head[3] == HEADERS {
            return;
        }
    }
}

/// What a client is told by a server that answers a request with these frames and hangs up.
async fn told(frames: Vec<u8>) -> Status {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        take_request(&mut connection).await;
        connection.write_all(&frames).await.unwrap();
        connection.shutdown().await.unwrap();
        // What the client still says is read, so that nothing is reset.
        let _ = connection.read_to_end(&mut Vec::new()).await;
    });
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = ClusterClient::new(channel.connect_lazy());
    let status = client.status(StatusRequest::default()).await.unwrap_err();
    server.abort();
    status
}

#[tokio::test]
async fn what_was_not_taken_up_was_not_begun() {
    for frames in [
        go_away(0, NO_ERROR),
        frame(RST_STREAM, 1, &REFUSED_STREAM.to_be_bytes()),
    ] {
        let status = told(frames).await;
        assert!(never_begun(&status), "{status:?}");
    }
}

#[tokio::test]
async fn what_may_have_been_taken_up_is_in_doubt() {
    for frames in [
        Vec::new(),
        // The request is the last that was taken up, and has no answer.
        go_away(1, NO_ERROR),
        go_away(1, INTERNAL_ERROR),
        frame(RST_STREAM, 1, &INTERNAL_ERROR.to_be_bytes()),
    ] {
        let status = told(frames).await;
        assert!(!never_begun(&status), "{status:?}");
    }
}
