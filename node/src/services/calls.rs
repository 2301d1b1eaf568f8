//! Calls of tools that another node took and this one runs.

use std::sync::Arc;

use snakepit_proto::bridge::{ExecuteToolResponse, ToolChunk};
use snakepit_proto::peer::{self, calls_server};
use tonic::{Request, Response, Status};

use super::Node;
use super::bridge::Answers;
use super::router::Routed;

/// Serves [`calls_server::Calls`].
#[derive(Clone, Debug)]
pub struct CallService(pub Arc<Node>);

#[tonic::async_trait]
impl calls_server::Calls for CallService {
    async fn execute(
        &self,
        request: Request<peer::RoutedCall>,
    ) -> Result<Response<ExecuteToolResponse>, Status> {
        let run = async {
            self.0
                .run_here(Routed::from_peer(request.into_inner())?)
                .await
        };
        run.await
            .map(Response::new)
            .map_err(|failure| self.0.status(failure))
    }

    type ExecuteStreamStream = Answers<ToolChunk>;

    async fn execute_stream(
        &self,
        request: Request<peer::RoutedCall>,
    ) -> Result<Response<Self::ExecuteStreamStream>, Status> {
        let run = async {
            self.0
                .stream_here(Routed::from_peer(request.into_inner())?)
                .await
        };
        run.await
            .map(Response::new)
            .map_err(|failure| self.0.status(failure))
    }

    async fn capacity(
        &self,
        _request: Request<peer::CapacityRequest>,
    ) -> Result<Response<peer::CapacityResponse>, Status> {
        let capacity = self.0.pools.capacity();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Response::new(peer::CapacityResponse {
            tools: self.0.pools.tools(),
            slots: count(capacity.slots),
            free: count(capacity.free),
            queued: count(capacity.queued),
        }))
    }
}
