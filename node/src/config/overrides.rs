//! The layers over the file: environment and flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::{Fault, FaultKind, Place};
use super::file::file_only;
use super::nearest::suggest_key;
use super::sections::{FreeTable, find, free_tables};
use super::{Origin, Settings};

/// What the command line says about settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: the settings file.
    pub config: Option<PathBuf>,
    /// `--data-dir`: `node.data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen-client`: `listen.client`.
    pub listen_client: Option<SocketAddr>,
    /// `--listen-peer`: `listen.peer`.
    pub listen_peer: Option<SocketAddr>,
    /// `--listen-http`: `listen.http`.
    pub listen_http: Option<SocketAddr>,
    /// `--insecure`: `node.insecure = true`.
    pub insecure: bool,
    /// `--print-config`: print the settings in effect and exit. For the caller to obey.
    pub print_config: bool,
    /// `--set section.key=value`, in order; the flags above win over it.
    pub set: Vec<String>,
}

/// The variables of the process's environment that may be settings. Bytes that are not UTF-8 are replaced.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with(PREFIX)
            .then(|| (name, value.to_string_lossy().into_owned()))
    })
}

const PREFIX: &str = "SNAKEPIT_";

/// Puts `SNAKEPIT_<SECTION>__<KEY>` over the settings. Variables without the double underscore belong to
/// others (`SNAKEPIT_ENDPOINTS`).
pub(super) fn apply_env(
    settings: &mut Settings,
    env: impl Iterator<Item = (String, String)>,
    faults: &mut Vec<Fault>,
) {
    let mut found: Vec<_> = env.collect();
    found.sort();
    for (name, value) in found {
        let Some((section, key)) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once("__"))
        else {
            continue;
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        let origin = Origin::Env(name.clone());
        if let Err(kind) = assign(settings, &section, &key, &value, origin) {
            faults.push(Fault {
                place: Place::Env(name),
                kind,
            });
        }
    }
}

/// Puts the flags over the settings.
pub(super) fn apply_flags(settings: &mut Settings, flags: &Flags, faults: &mut Vec<Fault>) {
    for text in &flags.set {
        let place = || Place::Flag(format!("--set {text}"));
        let parts = text
            .split_once('=')
            .and_then(|(path, value)| Some((path.trim().split_once('.')?, value)));
        let result = match parts {
            Some(((section, key), value)) => {
                assign(settings, section, key, value, Origin::Flag("--set"))
            }
            None => Err(FaultKind::NotAnAssignment {
                found: text.clone(),
            }),
        };
        if let Err(kind) = result {
            faults.push(Fault {
                place: place(),
                kind,
            });
        }
    }
    let mut note = |path: &str, flag| {
        settings.origins.insert(path.to_owned(), Origin::Flag(flag));
    };
    if let Some(data_dir) = &flags.data_dir {
        settings.node.data_dir.clone_from(data_dir);
        note("node.data_dir", "--data-dir");
    }
    if let Some(address) = flags.listen_client {
        settings.listen.client = address;
        note("listen.client", "--listen-client");
    }
    if let Some(address) = flags.listen_peer {
        settings.listen.peer = address;
        note("listen.peer", "--listen-peer");
    }
    if let Some(address) = flags.listen_http {
        settings.listen.http = address;
        note("listen.http", "--listen-http");
    }
    if flags.insecure {
        settings.node.insecure = true;
        note("node.insecure", "--insecure");
    }
}

/// `labels.rack` in `node`: a table whose keys are free, and the key. The environment has no way to write it.
fn free_key<'a>(section: &str, name: &'a str) -> Option<(&'static FreeTable, &'a str)> {
    free_tables(section).find_map(|free| {
        let key = name.strip_prefix(free.name)?.strip_prefix('.')?;
        Some((free, key))
    })
}

fn assign(
    settings: &mut Settings,
    section: &str,
    name: &str,
    value: &str,
    origin: Origin,
) -> Result<(), FaultKind> {
    let path = format!("{section}.{name}");
    if let Some((free, key)) = free_key(section, name) {
        (free.entries_mut)(settings).insert(key.to_owned(), value.to_owned());
        settings.origins.insert(free.path(), origin);
        return Ok(());
    }
    if let Some(table) = file_only(section, name) {
        return Err(FaultKind::FileOnly { table });
    }
    let Some(key) = find(section, name) else {
        let suggestion = suggest_key(section, name);
        return Err(FaultKind::UnknownKey {
            key: path,
            suggestion,
        });
    };
    (key.set)(settings, value).map_err(|message| FaultKind::Malformed {
        key: path.clone(),
        message,
    })?;
    settings.origins.insert(path, origin);
    Ok(())
}
