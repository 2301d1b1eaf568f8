//! Unary calls whose message was encoded before the measurement.

use std::marker::PhantomData;

use bytes::{BufMut as _, Bytes};
use prost::Message;
use snakepit_proto::transport::WholeRequests;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Says one thing to one method, as often as it is asked to.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    grpc: Grpc<WholeRequests<Channel>>,
    path: PathAndQuery,
    body: Bytes,
    metadata: MetadataMap,
}

impl Caller {
    /// Of a method, such as `/package.Service/Method`.
    pub fn new(
        channel: Channel,
        path: &'static str,
        message: &impl Message,
        metadata: MetadataMap,
    ) -> Self {
        Self {
            grpc: Grpc::new(WholeRequests(channel)),
            path: PathAndQuery::from_static(path),
            body: message.encode_to_vec().into(),
            metadata,
        }
    }

    /// Say it once; `adorn` may add to the metadata.
    pub async fn call<A: Message + Default + 'static>(
        &mut self,
        adorn: impl FnOnce(&mut MetadataMap),
    ) -> Result<A, Status> {
        let mut request = Request::new(self.body.clone());
        request.metadata_mut().clone_from(&self.metadata);
        adorn(request.metadata_mut());
        self.grpc
            .ready()
            .await
            .map_err(|error| Status::unavailable(format!("there is no connection: {error}")))?;
        let answer = self
            .grpc
            .unary(request, self.path.clone(), Prebuilt(PhantomData))
            .await?;
        Ok(answer.into_inner())
    }
}

/// One word for what went wrong.
pub(crate) fn kind(status: &Status) -> String {
    match status.code() {
        Code::Unavailable => "unavailable",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::ResourceExhausted => "exhausted",
        Code::NotFound => "not_found",
        Code::InvalidArgument => "invalid",
        Code::Aborted => "conflict",
        Code::FailedPrecondition => "refused",
        Code::Cancelled => "cancelled",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::DataLoss => "data",
        _ => "unknown",
    }
    .to_owned()
}

struct Prebuilt<A>(PhantomData<fn() -> A>);

impl<A: Message + Default + 'static> Codec for Prebuilt<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = Copy;
    type Decoder = Decode<A>;

    fn encoder(&mut self) -> Copy {
        Copy
    }

    fn decoder(&mut self) -> Decode<A> {
        Decode(PhantomData)
    }
}

struct Copy;

impl Encoder for Copy {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

struct Decode<A>(PhantomData<fn() -> A>);

impl<A: Message + Default> Decoder for Decode<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        let read = A::decode(from).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(read))
    }
}
