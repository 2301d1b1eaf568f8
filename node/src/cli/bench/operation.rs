//! What a client does: straight gRPC, without retries, so that what fails is seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use snakepit_client::{Consistency, any_from_json};
use snakepit_proto::{bridge, headers};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::Channel;

use super::Op;
use super::engine::{Caller, Operation, kind};
use super::workload::{LISTED, Workload};

/// Versions that `history` reads.
const HISTORY_VERSIONS: usize = 100;

const SET: &str = "/snakepit.bridge.BridgeService/SetVariable";
const GET: &str = "/snakepit.bridge.BridgeService/GetVariable";
const SET_MANY: &str = "/snakepit.bridge.BridgeService/SetVariables";
const GET_MANY: &str = "/snakepit.bridge.BridgeService/GetVariables";
const LIST: &str = "/snakepit.bridge.BridgeService/ListVariables";
const HISTORY: &str = "/snakepit.bridge.BridgeService/GetVariableHistory";
const CALL: &str = "/snakepit.bridge.BridgeService/ExecuteTool";

/// Names for requests, none of them twice.
#[derive(Clone, Debug)]
pub(super) struct RequestIds {
    run: Arc<str>,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    pub fn new(run: &str) -> Self {
        Self {
            run: run.into(),
            next: Arc::default(),
        }
    }

    /// The next one, as it travels.
    pub fn next(&self) -> MetadataValue<Ascii> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.of(number)
    }

    /// That of a number.
    pub fn of(&self, number: u64) -> MetadataValue<Ascii> {
        let id = format!("{}-{number:x}", self.run);
        MetadataValue::try_from(id).expect("ids are made of letters and digits")
    }
}

/// How operations are done.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    /// What `call` calls.
    pub tool: &'a str,
    /// What reads may miss.
    pub consistency: Consistency,
    /// Variables of one batch.
    pub batch: usize,
}

/// Things that one operation touches.
pub(super) fn items(op: Op, batch: usize) -> usize {
    match op {
        Op::BatchSet | Op::BatchGet => batch,
        Op::List => LISTED,
        Op::History => HISTORY_VERSIONS,
        Op::Set | Op::Get | Op::Call | Op::Watch | Op::Failover => 1,
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    op: Op,
    items: usize,
    caller: Caller,
    /// For calls that are encoded one by one.
    channel: Channel,
    metadata: MetadataMap,
    listed: String,
    ids: RequestIds,
}

impl Client {
    /// Number `number` of a workload.
    pub fn new(
        op: Op,
        channel: Channel,
        workload: &Workload,
        number: usize,
        how: How<'_>,
        ids: RequestIds,
    ) -> Self {
        let (session_id, variable_identifier) = workload.of(number);
        let value = || any_from_json(&workload.value.clone().into(), Some("string")).0;
        let mut metadata = MetadataMap::new();
        let reads = !matches!(op, Op::Set | Op::BatchSet | Op::Failover | Op::Call);
        if reads && how.consistency != Consistency::Linearizable {
            let name = MetadataValue::from_static(how.consistency.name());
            metadata.insert(headers::CONSISTENCY, name);
        }
        let (dial, own) = (channel.clone(), metadata.clone());
        let caller = match op {
            // The watchers of `watch` are no clients.
            Op::Set | Op::Failover | Op::Watch => {
                let message = bridge::SetVariableRequest {
                    session_id,
                    variable_identifier,
                    value: Some(value()),
                    ..Default::default()
                };
                Caller::new(channel, SET, &message, metadata)
            }
            Op::Get => {
                let message = bridge::GetVariableRequest {
                    session_id,
                    variable_identifier,
                    bypass_cache: false,
                };
                Caller::new(channel, GET, &message, metadata)
            }
            Op::BatchSet => {
                let (session_id, names) = workload.batch_of(number, how.batch);
                let message = bridge::BatchSetVariablesRequest {
                    session_id,
                    updates: names.map(|name| (name, value())).collect(),
                    atomic: true,
                    ..Default::default()
                };
                Caller::new(channel, SET_MANY, &message, metadata)
            }
            Op::BatchGet => {
                let (session_id, names) = workload.batch_of(number, how.batch);
                let message = bridge::BatchGetVariablesRequest {
                    session_id,
                    variable_identifiers: names.collect(),
                    ..Default::default()
                };
                Caller::new(channel, GET_MANY, &message, metadata)
            }
            Op::List => {
                let message = page(workload.listed(), String::new());
                Caller::new(channel, LIST, &message, metadata)
            }
            Op::History => {
                let (session_id, variable_identifier) = workload.with_history();
                let message = bridge::GetVariableHistoryRequest {
                    session_id,
                    variable_identifier,
                    limit: HISTORY_VERSIONS as i32,
                    before_version: 0,
                };
                Caller::new(channel, HISTORY, &message, metadata)
            }
            Op::Call => {
                let message = bridge::ExecuteToolRequest {
                    tool_name: how.tool.to_owned(),
                    parameters: BTreeMap::from([("value".to_owned(), value())]),
                    ..Default::default()
                };
                Caller::new(channel, CALL, &message, metadata)
            }
        };
        Self {
            op,
            items: items(op, how.batch),
            caller,
            channel: dial,
            metadata: own,
            listed: workload.listed(),
            ids,
        }
    }

    /// Set the variable under a request id.
    pub async fn set(&mut self, id: MetadataValue<Ascii>) -> Result<(), String> {
        let answer: bridge::SetVariableResponse = self
            .caller
            .call(|metadata| {
                metadata.insert(headers::REQUEST_ID, id);
            })
            .await
            .map_err(|status| kind(&status))?;
        if answer.success {
            Ok(())
        } else {
            Err("refused".to_owned())
        }
    }

    async fn get(&mut self) -> Result<(), String> {
        let answer: bridge::GetVariableResponse = self
            .caller
            .call(|_| ())
            .await
            .map_err(|status| kind(&status))?;
        if answer.variable.is_some() {
            Ok(())
        } else {
            Err("not_found".to_owned())
        }
    }

    async fn set_many(&mut self) -> Result<(), String> {
        let id = self.ids.next();
        let answer: bridge::BatchSetVariablesResponse = self
            .caller
            .call(|metadata| {
                metadata.insert(headers::REQUEST_ID, id);
            })
            .await
            .map_err(|status| kind(&status))?;
        if answer.success && answer.new_versions.len() == self.items {
            Ok(())
        } else {
            Err("refused".to_owned())
        }
    }

    async fn get_many(&mut self) -> Result<(), String> {
        let answer: bridge::BatchGetVariablesResponse = self
            .caller
            .call(|_| ())
            .await
            .map_err(|status| kind(&status))?;
        complete(answer.variables.len(), self.items)
    }

    async fn history(&mut self) -> Result<(), String> {
        let answer: bridge::GetVariableHistoryResponse = self
            .caller
            .call(|_| ())
            .await
            .map_err(|status| kind(&status))?;
        complete(answer.entries.len(), self.items)
    }

    /// All pages, one after the other.
    async fn list(&mut self) -> Result<(), String> {
        let mut found = 0;
        let mut answer: bridge::ListVariablesResponse = self
            .caller
            .call(|_| ())
            .await
            .map_err(|status| kind(&status))?;
        loop {
            found += answer.variables.len();
            if answer.next_page_token.is_empty() {
                return complete(found, self.items);
            }
            let message = page(self.listed.clone(), answer.next_page_token);
            let (channel, metadata) = (self.channel.clone(), self.metadata.clone());
            answer = Caller::new(channel, LIST, &message, metadata)
                .call(|_| ())
                .await
                .map_err(|status| kind(&status))?;
        }
    }

    async fn call(&mut self) -> Result<(), String> {
        let answer: bridge::ExecuteToolResponse = self
            .caller
            .call(|_| ())
            .await
            .map_err(|status| kind(&status))?;
        if answer.success {
            Ok(())
        } else {
            Err("tool_error".to_owned())
        }
    }
}

impl Operation for Client {
    async fn once(&mut self) -> Result<(), String> {
        match self.op {
            Op::Set | Op::Failover | Op::Watch => self.set(self.ids.next()).await,
            Op::BatchSet => self.set_many().await,
            Op::BatchGet => self.get_many().await,
            Op::List => self.list().await,
            Op::History => self.history().await,
            Op::Get => self.get().await,
            Op::Call => self.call().await,
        }
    }
}

fn page(session_id: String, page_token: String) -> bridge::ListVariablesRequest {
    bridge::ListVariablesRequest {
        session_id,
        page_token,
        ..Default::default()
    }
}

fn complete(found: usize, wanted: usize) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err("incomplete".to_owned())
    }
}
