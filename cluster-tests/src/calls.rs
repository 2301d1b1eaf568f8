//! All changes that the two services of sessions know, so that tests can go through them one by one.

use std::time::{Duration, Instant};

use snakepit_proto::bridge::bridge_service_client::BridgeServiceClient;
use snakepit_proto::bridge::*;
use snakepit_proto::cluster::cluster_client::ClusterClient;
use snakepit_proto::session::sessions_client::SessionsClient;
use snakepit_proto::session::*;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::Cluster;
use crate::deadline::PATIENCE;
use crate::raw::{self, any};

/// Largest message taken.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Time for one try; the head of a stream's answer counts, what follows does not.
const ATTEMPT: Duration = Duration::from_secs(8);
/// Between two tries.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// All services for clients of one node; connected when they are first used, and again after its restart.
#[derive(Clone, Debug)]
pub struct Calls {
    /// The node.
    pub node: u64,
    /// The bridge protocol.
    pub bridge: BridgeServiceClient<Channel>,
    /// What it has no call for.
    pub sessions: SessionsClient<Channel>,
    /// For operators.
    pub cluster: ClusterClient<Channel>,
}

impl Cluster {
    /// The services of a node.
    pub fn calls(&self, id: u64) -> Calls {
        let uri = format!("http://{}", self.node_ref(id).addresses.client);
        let endpoint = Endpoint::from_shared(uri)
            .expect("an address")
            .tcp_nodelay(true)
            .timeout(ATTEMPT);
        let channel = endpoint.connect_lazy();
        Calls {
            node: id,
            bridge: BridgeServiceClient::new(channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            sessions: SessionsClient::new(channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            cluster: ClusterClient::new(channel),
        }
    }

    /// The services of all nodes, in their order.
    pub fn all_calls(&self) -> Vec<Calls> {
        self.ids().into_iter().map(|id| self.calls(id)).collect()
    }
}

/// Ask one node after another, until one answers something else than that it cannot.
pub async fn anywhere<T, F>(
    nodes: &[Calls],
    first: usize,
    mut ask: impl FnMut(Calls) -> F,
) -> Result<Response<T>, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let began = Instant::now();
    let mut turn = first;
    loop {
        let told = ask(nodes[turn % nodes.len()].clone()).await;
        let cannot = told.as_ref().is_err_and(|status| {
            matches!(
                status.code(),
                Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled
            )
        });
        if !cannot || began.elapsed() > PATIENCE {
            return told;
        }
        turn += 1;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

macro_rules! changes {
    ($($change:ident($message:ty): $service:ident.$call:ident,)*) => {
        /// A request that may change something.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each is named as its call")]
        pub enum Change {
            $($change($message),)*
        }

        impl Change {
            /// Names of all calls that may change something.
            pub const ALL: &[&str] = &[$(stringify!($change)),*];

            /// The name of its call.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$change(_) => stringify!($change),)*
                }
            }

            /// Ask a node, with metadata; the answer in words.
            pub async fn ask(
                &self,
                node: &Calls,
                metadata: &[(&'static str, &str)],
            ) -> Result<Response<String>, Status> {
                match self {
                    $(Self::$change(message) => {
                        let mut service = node.$service.clone();
                        let told = service.$call(raw::with(message.clone(), metadata)).await?;
                        Ok(told.map(|answer| format!("{answer:?}")))
                    })*
                }
            }
        }

        $(impl From<$message> for Change {
            fn from(message: $message) -> Self {
                Self::$change(message)
            }
        })*
    };
}

changes! {
    InitializeSession(InitializeSessionRequest): bridge.initialize_session,
    CleanupSession(CleanupSessionRequest): bridge.cleanup_session,
    Heartbeat(HeartbeatRequest): bridge.heartbeat,
    RegisterVariable(RegisterVariableRequest): bridge.register_variable,
    SetVariable(SetVariableRequest): bridge.set_variable,
    SetVariables(BatchSetVariablesRequest): bridge.set_variables,
    DeleteVariable(DeleteVariableRequest): bridge.delete_variable,
    RollbackVariable(RollbackVariableRequest): bridge.rollback_variable,
    AddDependency(AddDependencyRequest): bridge.add_dependency,
    StartOptimization(StartOptimizationRequest): bridge.start_optimization,
    StopOptimization(StopOptimizationRequest): bridge.stop_optimization,
    RegisterTools(RegisterToolsRequest): bridge.register_tools,
    SetAccess(SetAccessRequest): sessions.set_access,
    RemoveDependency(RemoveDependencyRequest): sessions.remove_dependency,
    PutProgram(PutProgramRequest): sessions.put_program,
    DeleteProgram(DeleteProgramRequest): sessions.delete_program,
    ImportSession(ImportSessionRequest): sessions.import_session,
}

/// Make a session.
pub fn create(session: &str) -> InitializeSessionRequest {
    InitializeSessionRequest {
        session_id: session.into(),
        ..Default::default()
    }
}

/// Register a variable with a value as JSON.
pub fn register(session: &str, name: &str, type_name: &str, json: &str) -> RegisterVariableRequest {
    RegisterVariableRequest {
        session_id: session.into(),
        name: name.into(),
        r#type: type_name.into(),
        initial_value: Some(any(type_name, json)),
        ..Default::default()
    }
}

/// Set an integer.
pub fn set(session: &str, name: &str, number: i64) -> SetVariableRequest {
    SetVariableRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        value: Some(raw::integer(number)),
        ..Default::default()
    }
}

/// Set several integers.
pub fn set_all(session: &str, numbers: &[(&str, i64)], atomic: bool) -> BatchSetVariablesRequest {
    let updates = numbers
        .iter()
        .map(|(name, number)| ((*name).to_owned(), raw::integer(*number)));
    BatchSetVariablesRequest {
        session_id: session.into(),
        updates: updates.collect(),
        atomic,
        ..Default::default()
    }
}

/// Read a variable.
pub fn get(session: &str, name: &str) -> GetVariableRequest {
    GetVariableRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        ..Default::default()
    }
}

/// Delete a variable.
pub fn delete(session: &str, name: &str) -> DeleteVariableRequest {
    DeleteVariableRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
    }
}

/// Go back to a version.
pub fn roll_back(session: &str, name: &str, version: i32) -> RollbackVariableRequest {
    RollbackVariableRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        target_version: version,
        ..Default::default()
    }
}

/// Let one variable depend on another.
pub fn depend(session: &str, from: &str, to: &str, kind: &str) -> AddDependencyRequest {
    AddDependencyRequest {
        session_id: session.into(),
        from_variable: from.into(),
        to_variable: to.into(),
        dependency_type: kind.into(),
    }
}

/// Lift a dependency.
pub fn release(session: &str, from: &str, to: &str) -> RemoveDependencyRequest {
    RemoveDependencyRequest {
        session_id: session.into(),
        from_variable: from.into(),
        to_variable: to.into(),
    }
}

/// Begin to optimize a variable.
pub fn start(session: &str, name: &str, optimizer: &str) -> StartOptimizationRequest {
    StartOptimizationRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        optimizer_id: optimizer.into(),
        ..Default::default()
    }
}

/// End an optimization by its id; an empty one is that of whoever asks.
pub fn stop(session: &str, name: &str, optimization_id: &str) -> StopOptimizationRequest {
    StopOptimizationRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        optimization_id: optimization_id.into(),
        ..Default::default()
    }
}

/// Set a variable's rules.
pub fn rule(session: &str, name: &str, rules: &str) -> SetAccessRequest {
    SetAccessRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        access_control_json: rules.into(),
    }
}

/// Put a program, of text; of the whole cluster where the session is empty.
pub fn put(session: &str, program: &str, text: &str) -> PutProgramRequest {
    PutProgramRequest {
        session_id: session.into(),
        program_id: program.into(),
        value: Some(any("string", serde_json::Value::from(text).to_string())),
        ..Default::default()
    }
}

/// Delete a program.
pub fn drop_program(session: &str, program: &str) -> DeleteProgramRequest {
    DeleteProgramRequest {
        session_id: session.into(),
        program_id: program.into(),
    }
}

/// End a session.
pub fn clean_up(session: &str, force: bool) -> CleanupSessionRequest {
    CleanupSessionRequest {
        session_id: session.into(),
        force,
    }
}

/// Register tools of a worker.
pub fn offer(session: &str, worker: &str, tools: &[&str]) -> RegisterToolsRequest {
    let tool = |name: &&str| ToolRegistration {
        name: (*name).to_owned(),
        description: format!("does {name}"),
        ..Default::default()
    };
    RegisterToolsRequest {
        session_id: session.into(),
        tools: tools.iter().map(tool).collect(),
        worker_id: worker.into(),
    }
}

/// A page of a variable's history.
pub fn history(session: &str, name: &str, limit: i32, before: i32) -> GetVariableHistoryRequest {
    GetVariableHistoryRequest {
        session_id: session.into(),
        variable_identifier: name.into(),
        limit,
        before_version: before,
    }
}
