//! `docs/settings.md` lists exactly the settings that there are, with their defaults and ranges.

use std::collections::BTreeMap;

use super::fields::fields_of;
use super::key::Key;
use super::sections::{FREE_TABLES, FreeTable, keys};
use super::{Member, Settings};
use crate::pool::PoolSettings;

const DOC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md"));

/// The settings without a default.
const REQUIRED: &[&str] = &["node.id", "node.cluster_id", "node.data_dir"];

/// The rows of all tables by their key: default and range.
fn rows() -> BTreeMap<String, (String, String)> {
    let mut rows = BTreeMap::new();
    for line in DOC.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(
            cells.len(),
            4,
            "a row has key, default, range, effect: {line}"
        );
        let cell = |at: usize| cells[at].trim_matches('`').to_owned();
        assert!(!cells[3].is_empty(), "{line}");
        assert!(
            rows.insert(cell(0), (cell(1), cell(2))).is_none(),
            "twice: {line}"
        );
    }
    rows
}

#[test]
fn settings_are_documented_with_default_and_range() {
    let (rows, defaults) = (rows(), Settings::default());
    for key in keys() {
        let (default, range) = rows.get(&key.path()).unwrap_or_else(|| {
            panic!("{} is missing in docs/settings.md", key.path());
        });
        let toml = (key.toml)(&defaults);
        let is_required = REQUIRED.contains(&key.path().as_str());
        let expected = if is_required { "required" } else { &toml };
        assert_eq!(default, expected, "default of {}", key.path());
        if let Some(expected) = &key.range {
            assert_eq!(
                range,
                &format!("{} to {}", expected.start(), expected.end()),
                "range of {}",
                key.path()
            );
        }
    }
}

#[test]
fn tables_are_documented() {
    let rows = rows();
    for table in FREE_TABLES {
        let (default, _) = &rows[&table.path()];
        assert_eq!(default, "{}", "default of {}", table.path());
    }
    let defaults = toml::Table::try_from(PoolSettings::default()).unwrap();
    for field in fields_of::<Member>() {
        assert!(
            rows.contains_key(&format!("member.{field}")),
            "member.{field} is missing"
        );
    }
    for field in fields_of::<PoolSettings>() {
        let Some((default, _)) = rows.get(&format!("pool.{field}")) else {
            panic!("pool.{field} is missing in docs/settings.md");
        };
        // These depend on the machine, or have no default.
        if !["size", "python", "adapter"].contains(field) {
            assert_eq!(
                default,
                &defaults[*field].to_string(),
                "default of pool.{field}"
            );
        }
    }
}

#[test]
fn nothing_else_is_documented() {
    let mut known: Vec<_> = keys().map(Key::path).collect();
    known.extend(FREE_TABLES.iter().map(FreeTable::path));
    known.extend(
        fields_of::<Member>()
            .iter()
            .map(|field| format!("member.{field}")),
    );
    known.extend(
        fields_of::<PoolSettings>()
            .iter()
            .map(|field| format!("pool.{field}")),
    );
    for key in rows().keys() {
        assert!(
            known.contains(key),
            "{key} is in docs/settings.md and is no setting"
        );
    }
}
