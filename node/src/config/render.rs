//! The settings in effect, as a settings file.

use std::fmt::Write as _;

use serde::Serialize;

use super::sections::{SECTIONS, free_tables};
use super::{Origin, Settings};

impl Settings {
    /// A settings file that gives these settings again, with a comment on where each value came from.
    /// Pools are printed whole, their environment included: it may hold secrets.
    pub fn render(&self) -> String {
        let mut out = String::from("# settings in effect: value, then where it came from\n");
        for (section, keys) in SECTIONS {
            let _ = writeln!(out, "\n[{section}]");
            for key in *keys {
                let value = (key.toml)(self);
                let _ = write!(out, "{} = {value} # {}", key.name, self.origin(&key.path()));
                if let Some(range) = &key.range {
                    let _ = write!(out, "; {} to {}", range.start(), range.end());
                }
                out.push('\n');
            }
            for free in free_tables(section) {
                let entries = (free.entries)(self).iter();
                let table: toml::Table = entries
                    .map(|(key, value)| (key.clone(), value.as_str().into()))
                    .collect();
                let origin = self.origin(&free.path());
                let _ = writeln!(
                    out,
                    "{} = {} # {origin}",
                    free.name,
                    toml::Value::from(table)
                );
            }
        }
        self.render_tables(&mut out, "member", &self.members);
        self.render_tables(&mut out, "pool", &self.pools);
        out
    }

    fn render_tables<T: Serialize>(&self, out: &mut String, name: &'static str, items: &[T]) {
        if items.is_empty() {
            let _ = writeln!(out, "\n# no [[{name}]] # {}", self.origin(name));
            return;
        }
        let tables = std::collections::BTreeMap::from([(name, items)]);
        match toml::to_string(&tables) {
            Ok(text) => {
                let _ = write!(out, "\n# [[{name}]]: {}\n{text}", self.origin(name));
            }
            Err(error) => {
                let _ = writeln!(out, "\n# [[{name}]] cannot be printed: {error}");
            }
        }
    }

    /// Where the value of `section.key`, `node.labels`, `member` or `pool` came from.
    pub fn origin(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }
}
