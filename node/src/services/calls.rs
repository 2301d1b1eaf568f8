//! Calls of tools that another node took and this one runs.

use std::sync::Arc;

use snakepit_proto::bridge::{ExecuteToolResponse, ToolChunk};
use snakepit_proto::peer::{self, calls_server};
use tonic::{Request, Response, Status};

use super::Node;
use super::bridge::Answers;
use super::route::{Routed, send_reads, send_reads_behind};

/// Serves [`calls_server::Calls`].
#[derive(Clone, Debug)]
pub struct CallService(pub Arc<Node>);

#[tonic::async_trait]
impl calls_server::Calls for CallService {
    async fn execute(
        &self,
        request: Request<peer::RoutedCall>,
    ) -> Result<Response<ExecuteToolResponse>, Status> {
        let call = Routed::from_peer(request.into_inner());
        let call = call.map_err(|failure| self.0.status(failure))?;
        let reads = call.reads();
        let answered = self.0.run_here(call).await;
        let mut answered = answered.map_err(|failure| self.0.status(failure));
        send_reads(reads.as_ref(), &mut answered);
        answered.map(Response::new)
    }

    type ExecuteStreamStream = Answers<ToolChunk>;

    async fn execute_stream(
        &self,
        request: Request<peer::RoutedCall>,
    ) -> Result<Response<Self::ExecuteStreamStream>, Status> {
        let run = async {
            let call = Routed::from_peer(request.into_inner())?;
            let reads = call.reads();
            let chunks = self.0.stream_here(call).await?;
            Ok(send_reads_behind(reads, chunks))
        };
        run.await
            .map(Response::new)
            .map_err(|failure| self.0.status(failure))
    }

    async fn capacity(
        &self,
        _request: Request<peer::CapacityRequest>,
    ) -> Result<Response<peer::CapacityResponse>, Status> {
        Ok(Response::new(peer::CapacityResponse {
            pools: self.0.pools.capacities(),
            labels: self.0.labels.to_map(),
        }))
    }

    async fn call_state(
        &self,
        request: Request<peer::CallStateRequest>,
    ) -> Result<Response<peer::CallStateResponse>, Status> {
        let call_id = request.into_inner().call_id;
        let known = self.0.calls.has(&call_id) || self.0.pools.has_call(&call_id);
        Ok(Response::new(peer::CallStateResponse { known }))
    }
}
