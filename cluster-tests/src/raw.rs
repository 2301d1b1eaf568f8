//! Requests as they are on the wire: no retries, any metadata, all of the answer.

use prost_types::Any;
use snakepit_proto::bridge::bridge_service_client::BridgeServiceClient;
use snakepit_proto::headers;
use snakepit_proto::values::TYPE_URL_PREFIX;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::Cluster;

/// Largest message taken.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

impl Cluster {
    /// A connection to a node.
    pub async fn channel(&self, id: u64) -> Channel {
        let uri = format!("http://{}", self.node_ref(id).addresses.client);
        let endpoint = Endpoint::from_shared(uri).expect("an address");
        endpoint
            .tcp_nodelay(true)
            .connect()
            .await
            .unwrap_or_else(|error| panic!("node {id}: {error}"))
    }

    /// The bridge protocol, spoken to one node.
    pub async fn bridge(&self, id: u64) -> BridgeServiceClient<Channel> {
        BridgeServiceClient::new(self.channel(id).await)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// A request with metadata.
pub fn with<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        request
            .metadata_mut()
            .insert(*name, value.parse().expect("it is ASCII"));
    }
    request
}

/// A request with an id.
pub fn named<T>(message: T, request_id: &str) -> Request<T> {
    with(message, &[(headers::REQUEST_ID, request_id)])
}

/// An integer on the wire.
pub fn integer(number: i64) -> Any {
    any("integer", number.to_string())
}

/// A value on the wire, from its JSON.
pub fn any(type_name: &str, json: impl Into<Vec<u8>>) -> Any {
    Any {
        type_url: format!("{TYPE_URL_PREFIX}{type_name}"),
        value: json.into(),
    }
}

/// The log index at which an answer is true.
///
/// # Panics
///
/// Where the answer does not say.
pub fn index<T>(response: &Response<T>) -> u64 {
    let value = response
        .metadata()
        .get(headers::INDEX)
        .expect("the answer names its index");
    value
        .to_str()
        .expect("it is ASCII")
        .parse()
        .expect("it is a number")
}

/// Require that a request was refused, with a code and these words, and that nothing was done: its status.
///
/// # Panics
///
/// Where it was not.
pub fn refused<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    words: impl AsRef<str>,
) -> Status {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(said(&status, headers::DONE), "no", "{status:?}");
    let words = words.as_ref();
    assert!(
        status.message().contains(words),
        "{words:?} is not in: {}",
        status.message()
    );
    status
}

/// What a failed request says about itself in a header; empty where nothing.
pub fn said<'a>(status: &'a Status, header: &str) -> &'a str {
    status
        .metadata()
        .get(header)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}
