//! The settings file.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, Fault, FaultKind, Place};
use super::fields::fields_of;
use super::key::{Key, Kind};
use super::nearest::{suggest, suggest_key, suggest_section};
use super::sections::{FreeTable, SECTIONS, TABLES, find, free_tables};
use super::{Origin, Settings};

/// Puts the file's settings over those in `settings`.
///
/// # Errors
///
/// `Syntax` for text that is not TOML, else `Faults` with everything that cannot be understood.
pub(super) fn apply(settings: &mut Settings, path: &Path, text: &str) -> Result<(), ConfigError> {
    let mut file = File {
        path,
        text,
        faults: Vec::new(),
    };
    let root = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: file.place(error.span().unwrap_or_default()),
        message: one_line(error.message()),
    })?;
    for (name, value) in root.into_inner() {
        file.top_level(settings, &name, value);
    }
    if file.faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Faults(file.sorted()))
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    faults: Vec<(usize, Fault)>,
}

impl File<'_> {
    fn top_level(
        &mut self,
        settings: &mut Settings,
        name: &Spanned<DeString<'_>>,
        value: Spanned<DeValue<'_>>,
    ) {
        let section = name.get_ref().as_ref();
        if section == "member" {
            settings.members = self.tables(section, value);
            settings.origins.insert(section.to_owned(), Origin::File);
        } else if section == "pool" {
            settings.pools = self.tables(section, value);
            settings.origins.insert(section.to_owned(), Origin::File);
        } else if !SECTIONS.iter().any(|(known, _)| *known == section) {
            let suggestion = suggest_section(section, "");
            self.fault(
                name.span(),
                FaultKind::UnknownKey {
                    key: section.to_owned(),
                    suggestion,
                },
            );
        } else {
            self.section(settings, section, value);
        }
    }

    fn section(&mut self, settings: &mut Settings, section: &str, value: Spanned<DeValue<'_>>) {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let message = format!("it is a section; hint: write [{section}] on a line of its own");
            return self.fault(
                span,
                FaultKind::Malformed {
                    key: section.to_owned(),
                    message,
                },
            );
        };
        for (name, value) in table {
            if let Some(free) = free_tables(section).find(|free| free.name == name.get_ref()) {
                self.free_table(settings, free, value);
                continue;
            }
            match find(section, name.get_ref()) {
                Some(key) => self.set(settings, key, &value),
                None => {
                    let suggestion = suggest_key(section, name.get_ref());
                    let key = format!("{section}.{}", name.get_ref());
                    self.fault(name.span(), FaultKind::UnknownKey { key, suggestion });
                }
            }
        }
    }

    /// Reads a table whose keys are free and whose values are strings.
    fn free_table(
        &mut self,
        settings: &mut Settings,
        free: &FreeTable,
        value: Spanned<DeValue<'_>>,
    ) {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let message = format!(
                "it is a table; hint: write [{}] above its keys",
                free.path()
            );
            return self.fault(
                span,
                FaultKind::Malformed {
                    key: free.path(),
                    message,
                },
            );
        };
        for (name, value) in table {
            let key = format!("{}.{}", free.path(), name.get_ref());
            match value.get_ref() {
                DeValue::String(text) => {
                    let entries = (free.entries_mut)(settings);
                    entries.insert(name.get_ref().to_string(), text.to_string());
                }
                DeValue::Table(_) => self.fault(
                    value.span(),
                    FaultKind::Malformed {
                        key,
                        message:
                            "it takes a string, found a table; hint: put a key with dots in quotes"
                                .into(),
                    },
                ),
                other => {
                    let found = format!("{} {}", article(other.type_str()), other.type_str());
                    self.fault(
                        value.span(),
                        FaultKind::WrongKind {
                            key,
                            expected: Kind::Text,
                            found,
                        },
                    );
                }
            }
        }
        settings.origins.insert(free.path(), Origin::File);
    }

    fn set(&mut self, settings: &mut Settings, key: &Key, value: &Spanned<DeValue<'_>>) {
        let text = match (key.kind, value.get_ref()) {
            (Kind::Integer, DeValue::Integer(number)) => decimal(number),
            (Kind::Boolean, DeValue::Boolean(flag)) => flag.to_string(),
            (Kind::Text, DeValue::String(text)) => text.to_string(),
            (expected, other) => {
                let found = format!("{} {}", article(other.type_str()), other.type_str());
                return self.fault(
                    value.span(),
                    FaultKind::WrongKind {
                        key: key.path(),
                        expected,
                        found,
                    },
                );
            }
        };
        match (key.set)(settings, &text) {
            Ok(()) => {
                settings.origins.insert(key.path(), Origin::File);
            }
            Err(message) => {
                self.fault(
                    value.span(),
                    FaultKind::Malformed {
                        key: key.path(),
                        message,
                    },
                );
            }
        }
    }

    /// Reads `[[name]]`, telling of unknown keys before serde would.
    fn tables<T: DeserializeOwned>(&mut self, name: &str, value: Spanned<DeValue<'_>>) -> Vec<T> {
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            let message = format!("it is a list of tables; hint: write [[{name}]] before each");
            self.fault(
                span,
                FaultKind::Malformed {
                    key: name.to_owned(),
                    message,
                },
            );
            return Vec::new();
        };
        let known = fields_of::<T>();
        let mut read = Vec::with_capacity(items.len());
        for item in items {
            let start = item.span();
            if let DeValue::Table(table) = item.get_ref() {
                let unknown =
                    |key: &&Spanned<DeString<'_>>| !known.contains(&key.get_ref().as_ref());
                let unknown: Vec<_> = table.keys().filter(unknown).collect();
                if !known.is_empty() && !unknown.is_empty() {
                    for key in unknown {
                        let suggestion = suggest(name, key.get_ref(), known.iter().copied());
                        let full = format!("{name}.{}", key.get_ref());
                        self.fault(
                            key.span(),
                            FaultKind::UnknownKey {
                                key: full,
                                suggestion,
                            },
                        );
                    }
                    continue;
                }
            }
            match T::deserialize(toml::de::ValueDeserializer::from(item)) {
                Ok(item) => read.push(item),
                Err(error) => {
                    let span = error.span().unwrap_or(start);
                    let message = one_line(error.message());
                    self.fault(
                        span,
                        FaultKind::Malformed {
                            key: name.to_owned(),
                            message,
                        },
                    );
                }
            }
        }
        read
    }

    fn fault(&mut self, span: Range<usize>, kind: FaultKind) {
        let fault = Fault {
            place: self.place(span.clone()),
            kind,
        };
        self.faults.push((span.start, fault));
    }

    /// Line and column of a span's start.
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn sorted(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|(start, _)| *start);
        self.faults.into_iter().map(|(_, fault)| fault).collect()
    }
}

/// The number in decimal; TOML also takes 0x, 0o and 0b. What does not fit is left as it is, to be refused.
fn decimal(number: &toml::de::DeInteger<'_>) -> String {
    u64::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |number| number.to_string())
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The list of tables that a section or key names, which only the file can set, as it is written there.
pub(super) fn file_only(section: &str, name: &str) -> Option<String> {
    if let Some(table) = TABLES.iter().find(|table| **table == section) {
        return Some(format!("[[{table}]]"));
    }
    let free = free_tables(section).find(|free| {
        let rest = name.strip_prefix(free.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
    });
    free.map(|free| format!("[{}]", free.path()))
}
