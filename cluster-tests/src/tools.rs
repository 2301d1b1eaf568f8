//! Calls of tools, pools of workers, and what tools leave in files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use snakepit_client::{CallAnswer, CallRequest, Client, ClientError, Pool, Worker};
use snakepit_machine::Event;
use snakepit_proto::bridge::ExecuteToolRequest;
use tempfile::TempDir;

use crate::deadline::{eventually, within};
use crate::{Cluster, audit, programs};

/// Time for workers to come, on a busy machine.
pub const WORKERS: Duration = Duration::from_secs(60);

/// A call of a tool.
pub fn call(tool: &str, parameters: Json) -> CallRequest {
    let Json::Object(parameters) = parameters else {
        panic!("parameters have names: {parameters}");
    };
    CallRequest {
        tool: tool.into(),
        parameters: parameters.into_iter().collect(),
        deadline: Some(Duration::from_secs(60)),
        ..CallRequest::default()
    }
}

/// The same in a session.
#[must_use]
pub fn in_session(call: CallRequest, session: &str) -> CallRequest {
    CallRequest {
        session: session.into(),
        ..call
    }
}

/// The same in a pool.
#[must_use]
pub fn in_pool(call: CallRequest, pool: &str) -> CallRequest {
    CallRequest {
        pool: pool.into(),
        ..call
    }
}

/// The same as it is on the wire, for what the client would mend.
pub fn on_the_wire(call: &CallRequest) -> ExecuteToolRequest {
    let mut metadata = BTreeMap::new();
    if !call.pool.is_empty() {
        metadata.insert("pool".to_owned(), call.pool.clone());
    }
    let parameters = call.parameters.iter();
    ExecuteToolRequest {
        session_id: call.session.clone(),
        tool_name: call.tool.clone(),
        parameters: parameters
            .map(|(name, value)| (name.clone(), snakepit_client::any_from_json(value, None).0))
            .collect(),
        metadata,
        ..ExecuteToolRequest::default()
    }
}

/// Call, and require an answer that is no exception.
///
/// # Panics
///
/// Where there is none.
pub async fn done(client: &Client, call: CallRequest) -> CallAnswer {
    let tool = call.tool.clone();
    let answer = client
        .call_tool(call)
        .await
        .unwrap_or_else(|error| panic!("{tool}: {error:?}"))
        .value;
    if let Err(error) = &answer.outcome {
        panic!("{tool}: {error:?}");
    }
    answer
}

/// The settings of a pool of the cluster that serves an adapter of these tests, with some of its own.
pub fn definition(adapter: &str, size: usize, own: Json) -> String {
    let Json::Object(mut own) = own else {
        panic!("settings have names: {own}");
    };
    let mut env = Map::new();
    env.insert("PYTHONPATH".into(), json!(programs::adapters()));
    env.insert("PYTHONDONTWRITEBYTECODE".into(), json!("1"));
    if let Some(Json::Object(more)) = own.remove("env") {
        env.extend(more);
    }
    let mut settings = Map::new();
    settings.insert("adapter".into(), json!(adapter));
    settings.insert("size".into(), json!(size));
    settings.insert("python".into(), json!(programs::python()));
    settings.insert("env".into(), env.into());
    settings.extend(own);
    Json::Object(settings).to_string()
}

impl Cluster {
    /// A pool as a node has it.
    pub async fn pool(&self, id: u64, name: &str) -> Result<Pool, String> {
        let pools = self.at(id).list_pools().await;
        let pools = pools.map_err(|error| error.to_string())?.value;
        let names: Vec<_> = pools.iter().map(|pool| pool.name.clone()).collect();
        let found = pools.into_iter().find(|pool| pool.name == name);
        found.ok_or_else(|| format!("node {id} has no pool {name}, only {names:?}"))
    }

    /// The pool once it is what is wanted.
    pub async fn pool_when(
        &self,
        id: u64,
        name: &str,
        what: &str,
        fit: impl Fn(&Pool) -> bool,
    ) -> Pool {
        within(WORKERS, what, || async {
            let pool = self.pool(id, name).await?;
            if fit(&pool) {
                Ok(pool)
            } else {
                Err(format!("{pool:?}"))
            }
        })
        .await
    }

    /// A node's workers of a pool.
    pub async fn workers_of(&self, id: u64, pool: &str) -> Result<Vec<Worker>, String> {
        let workers = self.at(id).list_workers().await;
        let mut workers = workers.map_err(|error| error.to_string())?.value;
        workers.retain(|worker| worker.pool == pool);
        Ok(workers)
    }

    /// A node's workers of a pool, once they are what is wanted.
    pub async fn workers_when(
        &self,
        id: u64,
        pool: &str,
        what: &str,
        fit: impl Fn(&[Worker]) -> bool,
    ) -> Vec<Worker> {
        within(WORKERS, what, || async {
            let workers = self.workers_of(id, pool).await?;
            if fit(&workers) {
                Ok(workers)
            } else {
                Err(format!("{workers:?}"))
            }
        })
        .await
    }

    /// A pool on all nodes, all of its workers ready on these.
    pub async fn put_pool(&self, name: &str, definition: &str, on: &[u64]) -> u64 {
        let version = self.client().put_pool(name, definition, 0, false).await;
        let version = version.expect("the pool is taken").value;
        for id in on {
            self.pool_when(*id, name, "the pool is there and ready", |pool| {
                pool.version == version && pool.desired > 0 && pool.ready >= pool.desired
            })
            .await;
        }
        version
    }

    /// Wait until a node knows that others offer a tool in a pool: it looks at them now and then.
    pub async fn heard_of(&self, id: u64, call: &CallRequest) {
        eventually("the node knows where the tool is", || async {
            let told = self.at(id).call_tool(call.clone()).await;
            told.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Make a session.
    pub async fn session(&self, name: &str) {
        self.client()
            .create_session(name, None, BTreeMap::new())
            .await
            .expect("a session is made");
    }

    /// All events that a node has.
    pub async fn events(&self, id: u64) -> Vec<Event> {
        audit::session_events(&self.at(id), "").await
    }
}

/// Whether an error says that the call is definitely not done.
pub fn not_done(error: &ClientError) -> bool {
    !error.maybe_done()
}

/// A file that tools append lines to.
#[derive(Debug)]
pub struct Lines {
    dir: TempDir,
}

impl Default for Lines {
    fn default() -> Self {
        let dir = tempfile::Builder::new().prefix("spt-lines-").tempdir();
        Self {
            dir: dir.expect("the folder for temporary files can be written"),
        }
    }
}

impl Lines {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("lines")
    }

    /// What is in it, in order; nothing where it is not there.
    pub fn all(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// How often each line is in it.
    pub fn counted(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for line in self.all() {
            *counted.entry(line).or_default() += 1;
        }
        counted
    }

    /// How often a line is in it.
    pub fn count(&self, line: &str) -> usize {
        self.all().iter().filter(|found| *found == line).count()
    }

    /// Wait until a line is in it.
    pub async fn wait_for(&self, line: &str) {
        eventually(&format!("{line:?} is in the file"), || async {
            if self.count(line) > 0 {
                Ok(())
            } else {
                Err(self.all())
            }
        })
        .await;
    }
}
