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
use super::workload::Workload;

const SET: &str = "/snakepit.bridge.BridgeService/SetVariable";
const GET: &str = "/snakepit.bridge.BridgeService/GetVariable";
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

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    op: Op,
    caller: Caller,
    ids: RequestIds,
}

impl Client {
    /// Number `number` of a workload.
    pub fn new(
        op: Op,
        channel: Channel,
        workload: &Workload,
        number: usize,
        (tool, consistency): (&str, Consistency),
        ids: RequestIds,
    ) -> Self {
        let (session_id, variable_identifier) = workload.of(number);
        let value = || any_from_json(&workload.value.clone().into(), Some("string")).0;
        let mut metadata = MetadataMap::new();
        let caller = match op {
            Op::Set | Op::Failover => {
                let message = bridge::SetVariableRequest {
                    session_id,
                    variable_identifier,
                    value: Some(value()),
                    ..Default::default()
                };
                Caller::new(channel, SET, &message, metadata)
            }
            Op::Get => {
                if consistency != Consistency::Linearizable {
                    let name = MetadataValue::from_static(consistency.name());
                    metadata.insert(headers::CONSISTENCY, name);
                }
                let message = bridge::GetVariableRequest {
                    session_id,
                    variable_identifier,
                    bypass_cache: false,
                };
                Caller::new(channel, GET, &message, metadata)
            }
            Op::Call => {
                let message = bridge::ExecuteToolRequest {
                    tool_name: tool.to_owned(),
                    parameters: BTreeMap::from([("value".to_owned(), value())]),
                    ..Default::default()
                };
                Caller::new(channel, CALL, &message, metadata)
            }
        };
        Self { op, caller, ids }
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
            Op::Set | Op::Failover => self.set(self.ids.next()).await,
            Op::Get => self.get().await,
            Op::Call => self.call().await,
        }
    }
}
