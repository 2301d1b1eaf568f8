//! Names of the metadata that rides on requests and answers.

/// Who asks; unverified until callers are authenticated.
pub const PRINCIPAL: &str = "x-snakepit-principal";
/// Names a request: a repeated one takes effect once.
pub const REQUEST_ID: &str = "x-snakepit-request-id";
/// `linearizable` (the default), `lease` or `stale`.
pub const CONSISTENCY: &str = "x-snakepit-consistency";
/// On answers: the log index at which they are true.
pub const INDEX: &str = "x-snakepit-index";
/// On errors: the client address of the leader.
pub const LEADER: &str = "x-snakepit-leader";
/// On errors: their kind, one word.
pub const ERROR_KIND: &str = "x-snakepit-error-kind";
/// On errors: `no` where definitely not done, `maybe` where it may have been.
pub const DONE: &str = "x-snakepit-done";
/// Names a call of a tool: a repeated one gets the answer of the first one.
pub const IDEMPOTENCY_KEY: &str = "x-snakepit-idempotency-key";
/// On callbacks of a worker: the token of the call that makes them.
pub const CALL_TOKEN: &str = "x-snakepit-call-token";
/// On errors between nodes: what the call had read, an encoded `snakepit.peer.v1.CallReads`.
pub const CALL_READS: &str = "x-snakepit-call-reads-bin";
/// Follows one piece of work through all hops.
pub const CORRELATION_ID: &str = "x-snakepit-correlation-id";
/// On writes: the optimization that holds the variables' locks.
pub const OPTIMIZATION_ID: &str = "x-snakepit-optimization-id";
/// `raw` where the caller takes embeddings and tensors as raw arrays; otherwise they come as JSON.
pub const ARRAYS: &str = "x-snakepit-arrays";
