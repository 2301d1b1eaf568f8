//! The pools of this node: those of its file and those of the cluster, which win over them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::{Answer, Body, PoolRow, PutPool, RemovePool, json};
use snakepit_proto::cluster;
use snakepit_storage::StateStore;
use tokio_util::sync::CancellationToken;

use super::{Ask, Failure, Node};
use crate::config::Settings;
use crate::labels::Labels;
use crate::pool::{Control, PoolSettings};

/// Least time between two looks for changed pools.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The pools that a node shall run, as its file and its rows say. A definition that this node cannot read, of
/// a newer release perhaps, leaves what the file says.
pub fn wanted_pools(
    settings: &Settings,
    labels: &Labels,
    state: &StateStore,
) -> io::Result<Vec<PoolSettings>> {
    let rows = state.with_view(|view| view.list_pools())?;
    Ok(merge(&settings.pools, rows, labels))
}

fn merge(file: &[PoolSettings], rows: Vec<PoolRow>, labels: &Labels) -> Vec<PoolSettings> {
    let mut pools: BTreeMap<String, PoolSettings> = file
        .iter()
        .map(|pool| (pool.name.clone(), pool.clone()))
        .collect();
    for row in rows {
        match read(&row.name, &row.definition_json) {
            Ok(pool) => {
                pools.insert(row.name, pool);
            }
            Err(problem) => tracing::error!(pool = row.name, "a pool cannot be run: {problem}"),
        }
    }
    pools.retain(|pool, settings| {
        let here = labels.matches(&settings.placement);
        if !here {
            let lacks = labels.lacking(&settings.placement).join(", ");
            tracing::info!(pool, lacks, "the pool is not placed on this node");
        }
        here
    });
    pools.into_values().collect()
}

/// A definition, checked.
fn read(name: &str, definition: &str) -> Result<PoolSettings, String> {
    let value = json::read(definition)
        .map_err(|error| format!("the definition is no JSON: {error}; hint: give an object"))?;
    let serde_json::Value::Object(mut fields) = value else {
        return Err("the definition is no JSON object; hint: give its settings by name".into());
    };
    if let Some(own) = fields.insert("name".into(), name.into())
        && own != *name
    {
        return Err(format!(
            "the definition is of pool {own}, not {name}; hint: leave its name out"
        ));
    }
    let pool: PoolSettings = serde_json::from_value(fields.clone().into())
        .map_err(|error| format!("{}; hint: see docs/pools.md", misread(fields, &error)))?;
    let problems = pool.validate();
    if problems.is_empty() {
        Ok(pool)
    } else {
        Err(problems.join("; "))
    }
}

/// What is wrong with fields that are no settings, each with its name: serde's own words lack it.
fn misread(fields: serde_json::Map<String, serde_json::Value>, all: &serde_json::Error) -> String {
    let mut problems = Vec::new();
    for (field, value) in fields {
        let alone = serde_json::Map::from_iter([(field.clone(), value)]);
        if let Err(error) = serde_json::from_value::<PoolSettings>(alone.into()) {
            problems.push(format!("{field}: {error}"));
        }
    }
    if problems.is_empty() {
        all.to_string()
    } else {
        problems.join("; ")
    }
}

impl Node {
    /// Have the pools that the file and the rows say, until `stop`.
    pub async fn keep_pools(self: Arc<Self>, stop: CancellationToken) {
        let mut applied = self.group.applied_index();
        let mut seen = None;
        loop {
            let position = self.state.head().pools_position;
            if seen != Some(position) {
                let (settings, labels) = (self.settings.clone(), self.labels.clone());
                let read = self
                    .blocking(move |state| wanted_pools(&settings, &labels, state))
                    .await;
                match read {
                    Ok(wanted) => {
                        self.pools.apply(wanted);
                        seen = Some(position);
                    }
                    Err(failure) => tracing::error!(?failure, "the pools cannot be read"),
                }
            }
            let change = async {
                tokio::time::sleep(LOOK_EVERY).await;
                applied.changed().await
            };
            match stop.run_until_cancelled(change).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    }

    /// Add a pool or change one.
    pub(super) async fn put_pool(
        &self,
        ask: &Ask,
        request: cluster::PutPoolRequest,
    ) -> Result<(u64, cluster::PutPoolResponse), Failure> {
        let pool = read(&request.name, &request.definition_json)
            .map_err(|problem| Failure::Invalid(format!("pool {}: {problem}", request.name)))?;
        let body = Body::PutPool(PutPool {
            definition_json: as_given(&request.definition_json)?,
            name: pool.name,
            expected_version: request.expected_version,
            create_only: request.create_only,
        });
        match self.propose(ask, body).await? {
            (index, Answer::PoolPut { version }) => {
                Ok((index, cluster::PutPoolResponse { version }))
            }
            _ => Err(super::bridge::misfit()),
        }
    }

    /// Remove a pool of the cluster; nodes whose file has one of that name go back to it.
    pub(super) async fn remove_pool(
        &self,
        ask: &Ask,
        name: String,
    ) -> Result<(u64, cluster::RemovePoolResponse), Failure> {
        let body = Body::RemovePool(RemovePool { name });
        match self.propose(ask, body).await? {
            (index, Answer::Done { existed }) => {
                Ok((index, cluster::RemovePoolResponse { existed }))
            }
            _ => Err(super::bridge::misfit()),
        }
    }

    /// The pools of the cluster and of this node, and how this node does its share.
    pub(super) async fn list_pools(&self) -> Result<Vec<cluster::Pool>, Failure> {
        let rows = self
            .blocking(|state| state.with_view(|view| view.list_pools()))
            .await?;
        let stats = self.pools.stats().into_iter();
        let mut pools: BTreeMap<String, cluster::Pool> =
            stats.map(|pool| (pool.name.clone(), pool)).collect();
        for row in rows {
            let pool = pools
                .entry(row.name.clone())
                .or_insert_with(|| cluster::Pool {
                    name: row.name,
                    node_id: self.id(),
                    ..cluster::Pool::default()
                });
            pool.origin = "cluster".into();
            pool.version = row.version;
            pool.definition_json = row.definition_json;
        }
        Ok(pools.into_values().collect())
    }

    /// Tell workers of this node what to do.
    pub(super) fn control_workers(
        &self,
        request: &cluster::ControlWorkersRequest,
    ) -> Result<Vec<String>, Failure> {
        let action = match request.action.as_str() {
            "restart" => Control::Restart,
            "drain" => Control::Drain,
            "kill" => Control::Kill,
            other => {
                return Err(Failure::Invalid(format!(
                    "action is {other:?}; hint: use restart, drain or kill"
                )));
            }
        };
        let told = self
            .pools
            .control(action, &request.worker_id, &request.pool);
        if told.is_empty() && !request.worker_id.is_empty() {
            return Err(Failure::Invalid(format!(
                "no worker {} serves here, or it was told before; hint: see snakepit worker ls",
                request.worker_id
            )));
        }
        Ok(told)
    }
}

/// The same document, compact, with its keys in order.
fn as_given(definition: &str) -> Result<String, Failure> {
    let value = json::read(definition)
        .map_err(|error| Failure::Invalid(format!("the definition is no JSON: {error}")))?;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_of_the_cluster_wins_over_the_files() {
        let file = [PoolSettings {
            adapter: "a".into(),
            size: 1,
            ..PoolSettings::default()
        }];
        let row = |definition: &str| PoolRow {
            name: "default".into(),
            definition_json: definition.into(),
            version: 1,
            created_ms: 0,
            updated_ms: 0,
        };
        let labels = Labels::default();
        let pools = merge(&file, vec![row(r#"{"adapter": "b", "size": 3}"#)], &labels);
        assert_eq!((pools[0].adapter.as_str(), pools[0].size), ("b", 3));
        let pools = merge(&file, vec![row(r#"{"later": 1}"#)], &labels);
        assert_eq!(
            pools[0].adapter, "a",
            "what cannot be read leaves the file's"
        );
    }

    #[test]
    fn definitions_are_checked() {
        assert!(read("p", "[]").unwrap_err().contains("hint"));
        assert!(
            read("p", r#"{"adapter": "a", "sizes": 1}"#)
                .unwrap_err()
                .contains("sizes")
        );
        assert!(
            read("p", r#"{"name": "q", "adapter": "a"}"#)
                .unwrap_err()
                .contains("q")
        );
        assert!(read("p", r#"{"adapter": "a", "queue_max": -1}"#).is_err());
        let unknown = read("p", r#"{"adapter": "a", "journal": "all"}"#).unwrap_err();
        assert!(unknown.starts_with("journal: "), "{unknown}");
        assert_eq!(read("p", r#"{"adapter": "a"}"#).unwrap().name, "p");
    }
}
