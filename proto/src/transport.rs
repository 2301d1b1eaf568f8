//! What a connection's own failures say of a request, and requests that say their end with their last bytes.

mod whole;

use std::error::Error;

use tonic::Status;

pub use whole::WholeRequests;

/// Whether a request has certainly not been begun: there was no connection, it was closed before the request's turn
/// came, or the other side says that it did not take the request up. Any other failure of a connection leaves open
/// whether the request was done.
pub fn never_begun(status: &Status) -> bool {
    causes(status).any(|cause| {
        cause.is::<tonic::ConnectError>()
            || cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_canceled)
            || cause
                .downcast_ref::<h2::Error>()
                .is_some_and(was_not_taken_up)
    })
}

/// A side that goes away names the last request that it took up, and those behind it end with this error (RFC 9113,
/// section 6.8; h2 gives it to no others). One that refuses a single request resets it (section 8.7).
fn was_not_taken_up(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && ((error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
            || (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)))
}

/// The errors below a status, the nearest first; none where it came from the other side.
pub fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |&cause| cause.source())
}
