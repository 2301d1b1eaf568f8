//! Commands on the pools of the cluster.

use serde::{Deserialize, Serialize};

/// Define a pool of the cluster, or define it anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutPool {
    /// Its name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// Its settings, a JSON object that the node which took the request has checked.
    pub definition_json: String,
    /// The version that must hold; 0 takes any.
    pub expected_version: u64,
    /// Refuse where it exists.
    pub create_only: bool,
}

/// Remove a pool of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovePool {
    /// Its name.
    pub name: String,
}
