//! What a connection's own failures say of a request.

use std::error::Error;

use tonic::Status;

/// Whether a request has certainly not left this process: there was no connection, or it was closed before the
/// request's turn came. Any other failure of a connection leaves open whether the request was done.
pub fn never_sent(status: &Status) -> bool {
    causes(status).any(|cause| {
        cause.is::<tonic::ConnectError>()
            || cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_canceled)
    })
}

/// The errors below a status, the nearest first; none where it came from the other side.
pub fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |&cause| cause.source())
}
