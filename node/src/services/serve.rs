//! A request of a service for clients, from its metadata to its answer: counted, within a span, and with the
//! request's correlation id on the answer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use snakepit_proto::headers;
use tonic::{Code, Request, Response, Status};

use super::{Ask, Failure, Node, correlation, looks};
use crate::telemetry::RequestSpan;
use crate::telemetry::trace::keys;

impl Node {
    /// Read a request's metadata, prepare it, answer it, and turn a failure into its status.
    pub(super) async fn serve<M, T, F>(
        self: &Arc<Self>,
        service: &'static str,
        name: &'static str,
        request: Request<M>,
        prepare: impl FnOnce(&mut Ask, &mut M, &RequestSpan) -> Result<(), Failure>,
        call: impl FnOnce(Arc<Self>, Ask, M) -> F,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<Response<T>, Failure>>,
    {
        let began = Instant::now();
        let (metadata, _, mut message) = request.into_parts();
        let span = RequestSpan::serve(service, name, &metadata);
        let mut correlation_id = String::new();
        let asked = self.ask(&metadata).and_then(|mut ask| {
            ask.name = name;
            if span.is_on() {
                ask.trace = span.below();
            }
            let prepared = prepare(&mut ask, &mut message, &span);
            correlation_id.clone_from(&ask.correlation_id);
            prepared.map(|()| ask)
        });
        if asked.is_err() && correlation_id.is_empty() {
            correlation_id = correlation::of_headers(&metadata).unwrap_or_default();
        }
        let answered = match asked {
            Ok(ask) => {
                // In its place, as what is moved is in the future twice.
                let answer = pin!(call(self.clone(), ask, message));
                span.run(answer).await
            }
            Err(failure) => Err(failure),
        };
        let mut answered = answered.map_err(|failure| self.status(failure));
        if let Some(echo) = correlation::header(&correlation_id) {
            span.set(keys::CORRELATION_ID, || correlation_id);
            match &mut answered {
                Ok(response) => response.metadata_mut(),
                Err(status) => status.metadata_mut(),
            }
            .insert(headers::CORRELATION_ID, echo);
        }
        let code = answered.as_ref().map_or_else(Status::code, |_| Code::Ok);
        looks::count(name, began, code);
        span.end(code);
        answered
    }
}
