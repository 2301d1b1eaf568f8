//! What a node is labelled with, for pools that ask for certain nodes: what is seen on its machine, and over it
//! what `[node.labels]` says. `docs/telemetry.md` lists the labels that are seen.

mod hardware;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Settings;

/// Labels that may be configured on a node, or asked for by a pool.
pub const LABELS_MAX: usize = 64;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 64;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 256;

/// The labels of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// What is seen on this machine, unless `node.detect_hardware` is off, and over it what is configured.
    /// Runs `nvidia-smi` where there is one, for two seconds at most.
    pub async fn detect(settings: &Settings) -> Self {
        let seen = if settings.node.detect_hardware {
            hardware::seen().await
        } else {
            BTreeMap::new()
        };
        Self::over(seen, &settings.labels)
    }

    /// Labels that were seen, and over them those that are configured.
    fn over(mut seen: BTreeMap<String, String>, configured: &BTreeMap<String, String>) -> Self {
        seen.extend(configured.clone());
        Self(seen)
    }

    /// Whether a node with these labels is among those that a placement asks for: it must have each label that
    /// is named there, and its value must be equal to the one wanted, in which `*` stands for any value and
    /// `>=N` for every number from N on. A placement that names nothing matches every node.
    pub fn matches(&self, placement: &BTreeMap<String, String>) -> bool {
        placement.iter().all(|(key, wanted)| {
            let found = self.0.get(key);
            found.is_some_and(|found| value_matches(found, wanted))
        })
    }

    /// The labels that a placement asks for and these do not have so, each as `key=wanted`.
    pub fn lacking(&self, placement: &BTreeMap<String, String>) -> Vec<String> {
        let lacks = placement.iter().filter(|(key, wanted)| {
            let found = self.0.get(*key);
            !found.is_some_and(|found| value_matches(found, wanted))
        });
        lacks
            .map(|(key, wanted)| format!("{key}={wanted}"))
            .collect()
    }

    /// All of them, for a message.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }

    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All of them as comments of a settings file.
    pub fn render(&self) -> String {
        let mut out =
            String::from("\n# labels of this node, those seen on its machine among them\n");
        for (key, value) in &self.0 {
            out.push_str(&format!(
                "# {key} = {}\n",
                toml::Value::from(value.as_str())
            ));
        }
        out
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        Self(labels)
    }
}

fn value_matches(found: &str, wanted: &str) -> bool {
    match wanted.strip_prefix(">=") {
        Some(least) => number(found)
            .zip(number(least))
            .is_some_and(|(found, least)| found >= least),
        None => wanted == "*" || found == wanted,
    }
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

/// What is wrong with the key of a label: what it must be, and what to do.
pub fn key_problem(key: &str) -> Option<(&'static str, &'static str)> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
    ((key.is_empty() || key.len() > KEY_BYTES_MAX) || !key.bytes().all(is_fine)).then_some((
        "named with 1 to 64 letters, digits and _ . / -",
        "rename the label",
    ))
}

/// What is wrong with the value of a label.
pub fn value_problem(value: &str) -> Option<(&'static str, &'static str)> {
    (value.len() > VALUE_BYTES_MAX || value.contains(char::is_control)).then_some((
        "0 to 256 bytes long, without control characters",
        "shorten it",
    ))
}

/// What is wrong with what a placement asks of a label.
pub fn wanted_problem(wanted: &str) -> Option<(&'static str, &'static str)> {
    match wanted.strip_prefix(">=") {
        Some(least) if number(least).is_none() => {
            Some((">= and a number, * or a value", "write it like \">=16\""))
        }
        _ => value_problem(wanted),
    }
}
