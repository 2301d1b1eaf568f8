//! The client: a handle, cheap to clone.

use std::sync::Arc;
use std::time::Duration;

use crate::pool::Pool;
use crate::{ClientError, ClientOptions, Consistency, Endpoint};

/// Speaks to a cluster through any of its nodes. Clones share channels; must be used within a tokio runtime.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) pool: Arc<Pool>,
    pub(crate) options: Arc<ClientOptions>,
    /// The only node that may be asked, by its number in the pool.
    pub(crate) pinned: Option<usize>,
    /// The id of all requests, where it is given.
    pub(crate) request_id: Option<Arc<str>>,
    /// The optimization in whose name it writes, where there is one.
    pub(crate) optimization_id: Option<Arc<str>>,
    /// Names its calls of tools, where somebody named them.
    pub(crate) idempotency_key: Option<Arc<str>>,
    /// Whether embeddings and tensors come as raw arrays.
    pub(crate) raw_arrays: bool,
}

impl Client {
    /// A client that begins with the first endpoint. Nothing is dialled before the first call.
    ///
    /// # Errors
    ///
    /// `Invalid` where there is no endpoint or one cannot be dialled.
    pub fn new(
        endpoints: impl IntoIterator<Item = Endpoint>,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let endpoints: Vec<_> = endpoints.into_iter().collect();
        let pool = Pool::new(&endpoints, options.connect_timeout)?;
        let (pool, options) = (Arc::new(pool), Arc::new(options));
        Ok(Self {
            pool,
            options,
            pinned: None,
            request_id: None,
            optimization_id: None,
            idempotency_key: None,
            raw_arrays: false,
        })
    }

    /// A client of the same cluster that asks this node only.
    ///
    /// # Errors
    ///
    /// `Invalid` where it cannot be dialled, `Exhausted` where there are too many already.
    pub fn at(&self, endpoint: &Endpoint) -> Result<Self, ClientError> {
        Ok(Self {
            pinned: Some(self.pool.number_of(endpoint)?),
            ..self.clone()
        })
    }

    /// The nodes that it knows; the given ones first.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.pool.endpoints()
    }

    /// The node that the next call goes to.
    pub fn endpoint(&self) -> Endpoint {
        match self.pinned {
            Some(number) => self.pool.at(number).endpoint,
            None => self.pool.current().1.endpoint,
        }
    }

    /// The same client with another budget for each call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.options).timeout = timeout;
        self
    }

    /// The same client with other reads.
    #[must_use]
    pub fn with_consistency(mut self, consistency: Consistency) -> Self {
        Arc::make_mut(&mut self.options).consistency = consistency;
        self
    }

    /// The same client in another's name.
    #[must_use]
    pub fn with_principal(mut self, principal: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.options).principal = principal.into();
        self
    }

    /// The same client for one request of a known id: to repeat one that may have been done.
    #[must_use]
    pub fn with_request_id(mut self, request_id: &str) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    /// The same client whose writes carry the id of an optimization, which lets them pass its lock.
    #[must_use]
    pub fn with_optimization_id(mut self, optimization_id: &str) -> Self {
        self.optimization_id = Some(optimization_id.into());
        self
    }

    /// The same client for one call of a tool, which has this name in the cluster.
    #[must_use]
    pub(crate) fn with_idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The same client for answers that keep arrays bit for bit.
    #[must_use]
    pub(crate) fn with_raw_arrays(mut self) -> Self {
        self.raw_arrays = true;
        self
    }

    /// Its settings.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }
}
