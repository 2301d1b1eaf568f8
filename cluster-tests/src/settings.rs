//! What a cluster is to be, and the settings file of each of its nodes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::programs;

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// How many nodes.
    pub nodes: u64,
    /// Names the cluster.
    pub cluster_id: String,
    /// Settings beside the addresses: section, key, value as TOML.
    set: Vec<(String, String, String)>,
    /// Those of one node.
    set_on: Vec<(u64, String, String, String)>,
    /// Workers of each node; nodes that are not named have none.
    workers: BTreeMap<u64, usize>,
    /// Further settings of the pools: key, value as TOML.
    pool: Vec<(String, String)>,
    adapter: String,
}

impl Spec {
    /// So many nodes without workers.
    pub fn nodes(nodes: u64) -> Self {
        Self {
            nodes,
            cluster_id: "tested".into(),
            set: Vec::new(),
            set_on: Vec::new(),
            workers: BTreeMap::new(),
            pool: Vec::new(),
            adapter: "snakepit.demo.showcase".into(),
        }
    }

    /// A setting of all nodes: `section.key`, and its value as TOML.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl ToString) -> Self {
        let (section, key) = path.split_once('.').expect("section.key");
        self.set
            .push((section.into(), key.into(), value.to_string()));
        self
    }

    /// A setting of one node.
    #[must_use]
    pub fn set_on(mut self, id: u64, path: &str, value: impl ToString) -> Self {
        let (section, key) = path.split_once('.').expect("section.key");
        let (section, key) = (section.to_owned(), key.to_owned());
        self.set_on.push((id, section, key, value.to_string()));
        self
    }

    /// So many workers on each node.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = (1..=self.nodes).map(|id| (id, workers)).collect();
        self
    }

    /// So many workers on one node.
    #[must_use]
    pub fn workers_on(mut self, id: u64, workers: usize) -> Self {
        self.workers.insert(id, workers);
        self
    }

    /// What the workers serve, instead of the showcase: a module of `adapters/`.
    #[must_use]
    pub fn adapter(mut self, adapter: &str) -> Self {
        self.adapter = adapter.into();
        self
    }

    /// A setting of all pools, its value as TOML.
    #[must_use]
    pub fn pool(mut self, key: &str, value: impl ToString) -> Self {
        self.pool.push((key.into(), value.to_string()));
        self
    }

    /// Workers that a node is to have.
    pub fn workers_of(&self, id: u64) -> usize {
        self.workers.get(&id).copied().unwrap_or(0)
    }

    /// The settings file of a node.
    pub fn toml(&self, id: u64, address: Ipv4Addr, data: &Path) -> String {
        let mut sections: BTreeMap<&str, String> = BTreeMap::new();
        let mut put = |section, key: &str, value: &str| {
            let _ = writeln!(sections.entry(section).or_default(), "{key} = {value}");
        };
        put("node", "id", &id.to_string());
        put("node", "cluster_id", &quoted(&self.cluster_id));
        put("node", "data_dir", &quoted(&data.display().to_string()));
        for (kind, of) in Addresses::of(address, id).named() {
            put("listen", kind, &quoted(&of));
        }
        for (section, key, value) in &self.set {
            put(section, key, value);
        }
        for (_, section, key, value) in self.set_on.iter().filter(|(of, ..)| *of == id) {
            put(section, key, value);
        }
        let mut text = String::new();
        for (section, lines) in sections {
            let _ = write!(text, "[{section}]\n{lines}\n");
        }
        for id in 1..=self.nodes {
            let _ = write!(text, "[[member]]\nid = {id}\n");
            for (kind, of) in Addresses::of(address, id).named() {
                let _ = writeln!(text, "{kind} = {}", quoted(&of));
            }
        }
        if self.workers_of(id) > 0 {
            let _ = write!(
                text,
                "[[pool]]\nname = \"default\"\nadapter = {}\nsize = {}\npython = {}\n",
                quoted(&self.adapter),
                self.workers_of(id),
                quoted(&programs::python().display().to_string()),
            );
            for (key, value) in &self.pool {
                let _ = writeln!(text, "{key} = {value}");
            }
            let path = quoted(&programs::adapters().display().to_string());
            let _ = write!(
                text,
                "[pool.env]\nPYTHONPATH = {path}\nPYTHONDONTWRITEBYTECODE = \"1\"\n"
            );
        }
        text
    }
}

/// Where a node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// By clients.
    pub client: String,
    /// By other nodes.
    pub peer: String,
    /// Over HTTP.
    pub http: String,
}

impl Addresses {
    /// Of a node on an address. Nobody else uses the address: any port will do.
    pub fn of(address: Ipv4Addr, id: u64) -> Self {
        let at = |base: u64| format!("{address}:{}", base + id);
        Self {
            client: at(7_000),
            peer: at(7_100),
            http: at(7_200),
        }
    }

    fn named(&self) -> [(&'static str, String); 3] {
        [
            ("client", self.client.clone()),
            ("peer", self.peer.clone()),
            ("http", self.http.clone()),
        ]
    }
}

/// A string as TOML; JSON's escapes are TOML's as well.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
