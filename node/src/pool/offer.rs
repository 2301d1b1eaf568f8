//! Tools that processes offer which the node did not start: each dials the address for clients, says under
//! which name it offers what, and serves calls as workers do. Processes that offer under one name share its
//! calls. When the last one goes, the name goes.

use std::sync::Arc;

use snakepit_proto::headers;
use snakepit_proto::worker as wire;
use snakepit_proto::worker::worker_service_server::{WorkerService, WorkerServiceServer};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::dispatch::{Kept, Pools};
use super::endpoint::{about, hello, read, welcome};
use super::link::{Link, Outgoing};
use super::pool::Pool;
use super::settings::{Concurrency, PoolSettings, SLOTS_MAX};
use super::state::About;

/// Names under which tools may be offered to one node.
const OFFERS_MAX: usize = 256;
/// Processes that may offer under one name.
const PROCESSES_MAX: usize = 256;
/// Tools of one process.
const TOOLS_MAX: usize = 1_024;
/// Longest name of a process, in bytes.
const ID_BYTES_MAX: usize = 256;

/// Serves offers of tools, for the server on the address for clients.
#[derive(Clone)]
pub struct OfferEndpoint {
    pools: Pools,
}

impl Pools {
    /// The service for processes that offer tools.
    pub fn offers(&self, message_bytes_max: usize) -> WorkerServiceServer<OfferEndpoint> {
        WorkerServiceServer::new(OfferEndpoint {
            pools: self.clone(),
        })
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(message_bytes_max)
    }

    /// The pool of an offer, which is made where there is none.
    fn offered(&self, name: &str) -> Result<Arc<Pool>, Status> {
        let settings = PoolSettings {
            name: name.to_owned(),
            adapter: "outside".into(),
            size: 0,
            slots: SLOTS_MAX,
            concurrency: Concurrency::Thread,
            credits_per_slot: 2,
            ..PoolSettings::default()
        };
        if let Some(problem) = settings.validate().first() {
            return Err(Status::invalid_argument(format!("offer: {problem}")));
        }
        let mut taken = Err(());
        self.change(|mut kept| {
            if let Some(known) = kept.iter().find(|known| known.pool.name() == name) {
                taken = Ok(known.pool.offer.then(|| known.pool.clone()));
                return None;
            }
            if kept.iter().filter(|known| known.pool.offer).count() >= OFFERS_MAX {
                return None;
            }
            let pool = self.new_pool(settings, true);
            taken = Ok(Some(pool.clone()));
            kept.push(Kept::offered(pool));
            Some(kept)
        });
        match taken {
            Ok(Some(pool)) => Ok(pool),
            Ok(None) => Err(Status::already_exists(format!(
                "{name} is a pool of the node; hint: offer the tools under another name"
            ))),
            Err(()) => Err(Status::resource_exhausted(format!(
                "{OFFERS_MAX} names are offered here; hint: ask another node"
            ))),
        }
    }

    /// Forget the names that nobody offers under any more.
    fn forget_offers(&self) {
        self.change(|kept| {
            let before = kept.len();
            let (left, gone): (Vec<_>, Vec<_>) = kept
                .into_iter()
                .partition(|known| !known.pool.offer || known.pool.has_workers());
            for gone in gone {
                gone.forget();
            }
            (left.len() != before).then_some(left)
        });
    }
}

#[tonic::async_trait]
impl WorkerService for OfferEndpoint {
    type ConnectStream = Outgoing;

    async fn connect(
        &self,
        request: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Outgoing>, Status> {
        let principal = principal(request.metadata())?;
        let mut incoming = request.into_inner();
        let hello = hello(&mut incoming).await?;
        check(&hello)?;
        let pool = self.pools.offered(&hello.offer)?;
        if pool.workers() >= PROCESSES_MAX {
            return Err(Status::resource_exhausted(format!(
                "{PROCESSES_MAX} processes offer under {}; hint: ask another node",
                hello.offer
            )));
        }
        let link = Arc::new(Link::new(pool.number()));
        let settings = pool.settings();
        let about = About {
            principal,
            ..about(&hello, &settings)
        };
        // Others may have chosen the same name.
        let worker_id = format!("{}-{}", hello.worker_id, link.key);
        tracing::info!(
            worker = worker_id,
            pool = hello.offer,
            principal = about.principal,
            "tools are offered"
        );
        let welcome = welcome(&settings, self.pools.inner.node_id);
        pool.join(&link, &worker_id, hello.tools, about, None);
        let outgoing = Outgoing::new(pool.clone(), link.clone(), welcome);
        let pools = self.pools.clone();
        tokio::spawn(async move {
            read(incoming, pool, link, false).await;
            pools.forget_offers();
        });
        Ok(Response::new(outgoing))
    }
}

/// Who offers: it is shown with the process, and decides nothing.
fn principal(metadata: &MetadataMap) -> Result<String, Status> {
    let Some(value) = metadata.get(headers::PRINCIPAL) else {
        return Ok(String::new());
    };
    let name = value.to_str().map_err(|_| {
        Status::invalid_argument(format!(
            "{} is not printable ASCII; hint: encode it",
            headers::PRINCIPAL
        ))
    })?;
    if name.len() > snakepit_machine::ID_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "{} has {} bytes, the limit is {}; hint: shorten it",
            headers::PRINCIPAL,
            name.len(),
            snakepit_machine::ID_BYTES_MAX
        )));
    }
    Ok(name.to_owned())
}

fn check(hello: &wire::Hello) -> Result<(), Status> {
    let invalid = |text: String| Err(Status::invalid_argument(text));
    if hello.offer.is_empty() {
        return invalid("the hello has no offer; hint: give a name for the tools".into());
    }
    if hello.worker_id.is_empty() || hello.worker_id.len() > ID_BYTES_MAX {
        return invalid(format!(
            "worker_id has {} bytes; hint: give 1 to {ID_BYTES_MAX}",
            hello.worker_id.len()
        ));
    }
    if hello.tools.is_empty() || hello.tools.len() > TOOLS_MAX {
        return invalid(format!(
            "{} tools are offered; hint: give 1 to {TOOLS_MAX}",
            hello.tools.len()
        ));
    }
    Ok(())
}
