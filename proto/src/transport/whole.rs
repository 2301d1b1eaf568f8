//! A unary request in as few frames as it needs.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};

/// A channel whose requests say their end in the frame of their last bytes. tonic tells it in an empty frame of its own,
/// which is another system call here, and often another wake-up of the server that can begin only then.
#[derive(Clone, Debug)]
pub struct WholeRequests<S>(pub S);

impl<S> Service<http::Request<Body>> for WholeRequests<S>
where
    S: Service<http::Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request.map(|body| Body::new(Ahead::of(body))))
    }
}

/// A body that is read one frame ahead, where that one is there already, so that it is known which is the last.
#[derive(Debug)]
struct Ahead {
    body: Body,
    /// What comes next, where that is known.
    next: Option<Next>,
}

type Next = Option<Result<Frame<Bytes>, Status>>;

impl Ahead {
    fn of(body: Body) -> Self {
        let next = body.is_end_stream().then_some(None);
        Self { body, next }
    }
}

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let frame = match self.next.take() {
            Some(next) => next,
            None => ready!(Pin::new(&mut self.body).poll_frame(context)),
        };
        self.next = match &frame {
            Some(Ok(_)) => match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(next) => Some(next),
                Poll::Pending => None,
            },
            // Nothing comes behind the end, or behind an error.
            Some(Err(_)) | None => Some(None),
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.next, Some(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.next {
            Some(None) => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Frames that come one by one; an empty place is a frame that is not there yet.
    struct Given(VecDeque<Option<&'static str>>);

    impl http_body::Body for Given {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Next> {
            match self.0.pop_front() {
                Some(Some("error")) => Poll::Ready(Some(Err(Status::internal("broken")))),
                Some(Some(text)) => Poll::Ready(Some(Ok(Frame::data(text.into())))),
                Some(None) => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    /// What is seen of frames: each with whether the end was known behind it.
    fn seen(frames: &[Option<&'static str>]) -> Vec<String> {
        let mut body = Ahead::of(Body::new(Given(frames.iter().copied().collect())));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut seen = Vec::new();
        loop {
            let frame = Pin::new(&mut body).poll_frame(&mut context);
            let end = if body.is_end_stream() { " end" } else { "" };
            match frame {
                Poll::Pending => seen.push("pending".to_owned()),
                Poll::Ready(None) => return seen,
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap();
                    seen.push(format!("{}{end}", std::str::from_utf8(&data).unwrap()));
                }
                Poll::Ready(Some(Err(status))) => seen.push(format!("{}{end}", status.message())),
            }
        }
    }

    #[test]
    fn the_end_is_told_with_the_last_bytes() {
        assert_eq!(seen(&[Some("a")]), ["a end"]);
        assert_eq!(seen(&[Some("a"), Some("b")]), ["a", "b end"]);
        assert_eq!(seen(&[]), [""; 0]);
    }

    #[test]
    fn what_is_not_there_yet_is_not_waited_for() {
        let seen_of = seen(&[None, Some("a"), None, Some("b"), Some("c")]);
        assert_eq!(seen_of, ["pending", "a", "b", "c end"]);
        assert_eq!(seen(&[Some("a"), None, None]), ["a", "pending"]);
    }

    #[test]
    fn an_error_comes_behind_what_was_read_and_ends_it() {
        assert_eq!(
            seen(&[Some("a"), Some("error"), Some("b")]),
            ["a", "broken end"]
        );
    }
}
