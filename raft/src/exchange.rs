//! A stream to another node that stays open, with one request on its way at a time: one message each way is all that
//! a request costs.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// It comes back with the answer: where a request is dropped in the middle, the stream is gone with it.
#[derive(Debug)]
pub(crate) struct Exchange<Q, A> {
    requests: mpsc::Sender<Q>,
    answers: Streaming<A>,
}

/// The two ends of what is asked: one to open the stream with, one to keep.
pub(crate) fn requests<Q>() -> (mpsc::Sender<Q>, ReceiverStream<Q>) {
    let (requests, outgoing) = mpsc::channel(1);
    (requests, ReceiverStream::new(outgoing))
}

impl<Q, A> Exchange<Q, A> {
    pub(crate) fn new(requests: mpsc::Sender<Q>, answers: Streaming<A>) -> Self {
        Self { requests, answers }
    }

    /// Ask, and wait for the answer.
    pub(crate) async fn ask(mut self, request: Q) -> Result<(A, Self), Status> {
        let ended = || Status::unavailable("the stream has ended");
        self.requests.send(request).await.map_err(|_| ended())?;
        let answer = self.answers.message().await?.ok_or_else(ended)?;
        Ok((answer, self))
    }
}
