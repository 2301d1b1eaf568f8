//! Sessions that are bound to one worker. The binding is a row of the session, so that all nodes agree; it is
//! to a worker's id, which no other life of a worker ever has.

use snakepit_machine::{Answer, BindWorker, Body, UnbindWorker};

use super::Routed;
use super::choose::Target;
use crate::pool::CallError;
use crate::services::{Ask, Failure, Node};
use crate::telemetry::events;

impl Node {
    /// The worker that the call's session is bound to; it is bound now where it was not.
    pub(super) async fn bound(&self, call: &Routed, pool: &str) -> Result<Target, Failure> {
        let ask = self.own_ask(&call.principal)?;
        let session = call.session();
        let wanted = pool.to_owned();
        let read = self.read_rows(&ask, session, move |_, session, _| {
            Ok(session.bindings.get(&wanted).cloned())
        });
        let found = read.await?.1;
        let fresh = found.is_none();
        let (node, worker) = match found {
            Some(binding) => (binding.node, binding.worker),
            None => self.bind(&ask, session, pool).await?,
        };
        let here = node == self.id();
        let lives = if here {
            self.pools.has_worker(pool, &worker)
        } else {
            // A look that a busy machine was late to answer is no reason to give its worker up.
            self.peers.reaches(node) || self.peers.has_call(node, &call.call_id).await.is_some()
        };
        if !lives {
            self.unbind(call, pool, &worker).await?;
            return Err(CallError::BoundWorkerGone {
                pool: pool.to_owned(),
                worker_id: worker,
            }
            .into());
        }
        Ok(Target {
            node: (!here).then_some(node),
            pool: pool.to_owned(),
            worker,
            or_back: false,
            movable: false,
            fresh,
        })
    }

    async fn bind(&self, ask: &Ask, session: &str, pool: &str) -> Result<(u64, String), Failure> {
        let Some((node, worker, _)) = self.favourite(session, pool) else {
            return Err(Failure::Unavailable(format!(
                "no worker of pool {pool} serves; hint: not done, retry; see snakepit pool stats"
            )));
        };
        let body = Body::BindWorker(BindWorker {
            session_id: session.to_owned(),
            pool: pool.to_owned(),
            node,
            worker,
            replaces: String::new(),
        });
        match self.propose(ask, body).await? {
            (
                _,
                Answer::WorkerBound {
                    node,
                    worker,
                    bound,
                },
            ) => {
                if bound {
                    events::affinity_assigned(pool, session, &worker);
                }
                Ok((node, worker))
            }
            _ => Err(crate::services::bridge::misfit()),
        }
    }

    /// Forget a binding to a worker that is gone, so that the session's next call is bound to another.
    pub(super) async fn unbind(
        &self,
        call: &Routed,
        pool: &str,
        worker: &str,
    ) -> Result<(), Failure> {
        let body = Body::UnbindWorker(UnbindWorker {
            session_id: call.session().to_owned(),
            pool: pool.to_owned(),
            worker: worker.to_owned(),
        });
        self.propose(&self.own_ask(&call.principal)?, body).await?;
        events::affinity_broken(pool, call.session(), worker, "worker_lost");
        Ok(())
    }
}
