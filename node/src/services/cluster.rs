//! What operators ask.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use snakepit_machine::{SessionRow, glob};
use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::cluster::{self, cluster_server};
use snakepit_storage::StateView;
use tonic::{Request, Response, Status};

use super::{Failure, Node, wire};

/// Sessions of one page, where the request says nothing, and at most.
const PAGE: usize = 1_000;
/// Sessions read at once.
const READ_SESSIONS: usize = 256;
/// Time that a snapshot may take before the caller is told to look again.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves [`cluster_server::Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterService(pub Arc<Node>);

#[tonic::async_trait]
impl cluster_server::Cluster for ClusterService {
    async fn status(
        &self,
        _request: Request<cluster::StatusRequest>,
    ) -> Result<Response<cluster::StatusResponse>, Status> {
        let node = &self.0;
        let (status, head) = (node.group.status(), node.state.head());
        let leader = status.leader.and_then(|leader| status.address_of(leader));
        let leader_address = leader
            .map(|address| address.client.clone())
            .unwrap_or_default();
        let workers = node.pools.readiness();
        Ok(Response::new(cluster::StatusResponse {
            node_id: node.id(),
            cluster_id: node.settings.node.cluster_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: status.role.name().to_owned(),
            term: status.term,
            leader_id: status.leader.unwrap_or(0),
            leader_address,
            last_log_index: status.last_log.unwrap_or(0),
            committed_index: status.committed.unwrap_or(0),
            applied_index: head.applied.map_or(0, |id| id.index),
            snapshot_index: status.snapshot.unwrap_or(0),
            purged_index: status.purged.unwrap_or(0),
            position: head.position,
            chain_head: head.chain_head.to_vec().into(),
            sessions: head.sessions,
            uptime_ms: wire::elapsed_ms(node.started),
            members: status
                .members
                .into_iter()
                .map(|member| cluster::Member {
                    node_id: member.id,
                    client_address: member.address.client,
                    peer_address: member.address.peer,
                    http_address: member.address.http,
                    voter: member.voter,
                    matched_index: member.matched,
                })
                .collect(),
            workers: count(workers.iter().map(|pool| pool.size)),
            workers_ready: count(workers.iter().map(|pool| pool.ready)),
            labels: node.labels.to_map(),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<cluster::TransferLeaderRequest>,
    ) -> Result<Response<cluster::TransferLeaderResponse>, Status> {
        let to = request.into_inner().to;
        match self.0.group.transfer_leader((to != 0).then_some(to)).await {
            Some(_) => Ok(Response::new(cluster::TransferLeaderResponse {})),
            None => Err(self.0.status(Failure::Refused(
                "leadership was not handed over; hint: ask the leader, and name a voter that is up to date".into(),
            ))),
        }
    }

    async fn take_snapshot(
        &self,
        _request: Request<cluster::TakeSnapshotRequest>,
    ) -> Result<Response<cluster::TakeSnapshotResponse>, Status> {
        let node = &self.0;
        let wanted = node.group.status().applied.unwrap_or(0);
        node.group
            .take_snapshot()
            .await
            .map_err(|error| node.status(Failure::Refused(error.to_string())))?;
        let made = async {
            loop {
                match node.group.status().snapshot {
                    Some(index) if index >= wanted => break index,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        match tokio::time::timeout(SNAPSHOT_TIMEOUT, made).await {
            Ok(index) => Ok(Response::new(cluster::TakeSnapshotResponse { index })),
            Err(_) => Err(node.status(Failure::Refused(
                "the snapshot is not complete yet; hint: look at snapshot_index in the status"
                    .into(),
            ))),
        }
    }

    async fn list_sessions(
        &self,
        request: Request<cluster::ListSessionsRequest>,
    ) -> Result<Response<cluster::ListSessionsResponse>, Status> {
        let node = &self.0;
        let listed = async {
            let ask = node.ask(request.metadata())?;
            let request = request.into_inner();
            let size = usize::try_from(request.page_size)
                .ok()
                .filter(|size| (1..=PAGE).contains(size))
                .unwrap_or(PAGE);
            let barrier = node.barrier(&ask).await?;
            let filter = SessionFilter {
                pattern: request.pattern,
                metadata: request.metadata,
                created_after_ms: request.created_after_ms,
                created_before_ms: request.created_before_ms,
                idle_ms_min: request.idle_ms_min,
            };
            let (token, now_ms) = (request.page_token, barrier.time_ms);
            let (rows, next_page_token) = node
                .blocking(move |state| {
                    state.with_view(|view| page(view, &filter, now_ms, token, size))
                })
                .await?;
            let sessions = rows.into_iter().map(wire::session).collect();
            let response = cluster::ListSessionsResponse {
                sessions,
                next_page_token,
            };
            Ok(wire::at_index(barrier.index, response))
        };
        listed.await.map_err(|failure| node.status(failure))
    }

    async fn list_tools(
        &self,
        _request: Request<cluster::ListToolsRequest>,
    ) -> Result<Response<cluster::ListToolsResponse>, Status> {
        Ok(Response::new(cluster::ListToolsResponse {
            tools: self.0.tools_by_name().into_values().collect(),
        }))
    }

    async fn list_workers(
        &self,
        _request: Request<cluster::ListWorkersRequest>,
    ) -> Result<Response<cluster::ListWorkersResponse>, Status> {
        Ok(Response::new(cluster::ListWorkersResponse {
            workers: self.0.pools.workers(),
        }))
    }

    async fn control_workers(
        &self,
        request: Request<cluster::ControlWorkersRequest>,
    ) -> Result<Response<cluster::ControlWorkersResponse>, Status> {
        let told = self.0.control_workers(&request.into_inner());
        let worker_ids = told.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(cluster::ControlWorkersResponse {
            worker_ids,
        }))
    }

    async fn list_pools(
        &self,
        request: Request<cluster::ListPoolsRequest>,
    ) -> Result<Response<cluster::ListPoolsResponse>, Status> {
        let listed = async {
            let ask = self.0.ask(request.metadata())?;
            self.0.newest(&ask).await;
            self.0.list_pools().await
        };
        let pools = listed.await.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(cluster::ListPoolsResponse { pools }))
    }

    async fn put_pool(
        &self,
        request: Request<cluster::PutPoolRequest>,
    ) -> Result<Response<cluster::PutPoolResponse>, Status> {
        let put = async {
            let ask = self.0.ask(request.metadata())?;
            let (index, response) = self.0.put_pool(&ask, request.into_inner()).await?;
            Ok(wire::at_index(index, response))
        };
        put.await.map_err(|failure| self.0.status(failure))
    }

    async fn remove_pool(
        &self,
        request: Request<cluster::RemovePoolRequest>,
    ) -> Result<Response<cluster::RemovePoolResponse>, Status> {
        let removed = async {
            let ask = self.0.ask(request.metadata())?;
            let name = request.into_inner().name;
            let (index, response) = self.0.remove_pool(&ask, name).await?;
            Ok(wire::at_index(index, response))
        };
        removed.await.map_err(|failure| self.0.status(failure))
    }
}

impl Node {
    /// Tools of all pools of the cluster, by name, and where they run.
    fn tools_by_name(&self) -> BTreeMap<String, cluster::list_tools_response::Tool> {
        let mut tools = BTreeMap::new();
        let own = self.pools.tools().into_iter();
        let own = own.map(|spec| (self.id(), spec));
        for (id, spec) in own.chain(self.peers.tools()) {
            let tool = tools.entry(spec.name.clone()).or_insert_with(|| {
                cluster::list_tools_response::Tool {
                    spec: Some(spec),
                    nodes: Vec::new(),
                }
            });
            tool.nodes.push(id);
        }
        for tool in tools.values_mut() {
            tool.nodes.sort_unstable();
            tool.nodes.dedup();
        }
        tools
    }

    /// Tools of all pools of the cluster, in the order of their names.
    pub(super) fn cluster_tools(&self) -> Vec<ToolSpec> {
        let tools = self.tools_by_name().into_values();
        tools.filter_map(|tool| tool.spec).collect()
    }

    /// Tools that are registered in a session, by name.
    pub(super) async fn registered_tools(
        &self,
        session_id: &str,
    ) -> Result<BTreeMap<String, ToolSpec>, Failure> {
        let id = session_id.to_owned();
        let rows = self
            .blocking(move |state| state.with_view(|view| view.list_tools(&id)))
            .await?;
        rows.into_iter()
            .map(|row| {
                let spec = ToolSpec::decode(row.spec.as_slice())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok((row.name, spec))
            })
            .collect()
    }
}

/// Sessions that a request asks for.
#[derive(Debug)]
struct SessionFilter {
    pattern: String,
    metadata: BTreeMap<String, String>,
    created_after_ms: u64,
    created_before_ms: u64,
    idle_ms_min: u64,
}

impl SessionFilter {
    fn lets_pass(&self, session: &SessionRow, now_ms: u64) -> bool {
        session.alive_at(now_ms)
            && (self.pattern.is_empty() || glob::matches(&self.pattern, &session.id))
            && self
                .metadata
                .iter()
                .all(|(key, value)| session.metadata.get(key) == Some(value))
            && session.created_ms >= self.created_after_ms
            && (self.created_before_ms == 0 || session.created_ms < self.created_before_ms)
            && now_ms.saturating_sub(session.touched_ms) >= self.idle_ms_min
    }
}

/// A page of sessions that pass, and the id behind which the next page begins.
fn page(
    view: &StateView<'_>,
    filter: &SessionFilter,
    now_ms: u64,
    token: String,
    size: usize,
) -> io::Result<(Vec<SessionRow>, String)> {
    let mut after = Some(token).filter(|token| !token.is_empty());
    let mut found = Vec::new();
    loop {
        let rows = view.list_sessions(after.as_deref(), READ_SESSIONS)?;
        let last = rows.len() < READ_SESSIONS;
        for row in rows {
            after = Some(row.id.clone());
            if filter.lets_pass(&row, now_ms) {
                found.push(row);
                if found.len() == size {
                    return Ok((found, after.unwrap_or_default()));
                }
            }
        }
        if last {
            return Ok((found, String::new()));
        }
    }
}

fn count(numbers: impl Iterator<Item = usize>) -> u32 {
    u32::try_from(numbers.sum::<usize>()).unwrap_or(u32::MAX)
}
