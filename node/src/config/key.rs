//! The table of settings: `section!` declares a section's struct, its defaults, its ranges and its rows of
//! the table in one place, so that file, environment, flags, rendering and documentation cannot drift apart.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::Settings;

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its section.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The least and the greatest value, of a number.
    pub range: Option<RangeInclusive<u64>>,
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
    pub(super) toml: fn(&Settings) -> String,
    pub(super) number: fn(&Settings) -> Option<u64>,
}

impl Key {
    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    pub fn env(&self) -> String {
        format!("SNAKEPIT_{}__{}", self.section, self.name).to_ascii_uppercase()
    }
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A string, or something written as one.
    Text,
}

impl Kind {
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Integer => "write it without quotes and units, like 4096",
            Self::Boolean => "write it without quotes",
            Self::Text => "put it in quotes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::Text => "a string",
        })
    }
}

/// A type that a setting can have.
pub(super) trait Leaf: Sized {
    const KIND: Kind;

    /// Reads the value from text, the same in all layers.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as TOML.
    fn toml(&self) -> String;

    /// The value as a number, if it is one.
    fn number(&self) -> Option<u64> {
        None
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn parse_number(text: &str) -> Result<u64, String> {
    let digits = text.trim().replace('_', "");
    digits.parse().map_err(|_| {
        format!(
            "{text:?} is not a whole number from 0 to {}; hint: {}",
            u64::MAX,
            Kind::Integer.example()
        )
    })
}

impl Leaf for u64 {
    const KIND: Kind = Kind::Integer;

    fn parse(text: &str) -> Result<Self, String> {
        parse_number(text)
    }

    fn toml(&self) -> String {
        self.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(*self)
    }
}

impl Leaf for usize {
    const KIND: Kind = Kind::Integer;

    fn parse(text: &str) -> Result<Self, String> {
        parse_number(text)?
            .try_into()
            .map_err(|_| format!("{text} is too large for this machine"))
    }

    fn toml(&self) -> String {
        self.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(*self as u64)
    }
}

impl Leaf for bool {
    const KIND: Kind = Kind::Boolean;

    fn parse(text: &str) -> Result<Self, String> {
        text.trim()
            .parse()
            .map_err(|_| format!("{text:?} is neither true nor false"))
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Leaf for String {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn toml(&self) -> String {
        quoted(self)
    }
}

impl Leaf for PathBuf {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }

    fn toml(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Leaf for SocketAddr {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| {
            format!(
                "{text:?} is not an IP address and port; hint: write 127.0.0.1:7001 or [::1]:7001"
            )
        })
    }

    fn toml(&self) -> String {
        quoted(&self.to_string())
    }
}

/// Declares a section: `name: type = default, least..=greatest;`, the range for numbers only.
macro_rules! section {
    (
        $(#[$doc:meta])*
        $struct:ident in $section:ident {
            $( $(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr $(, $range:expr)?; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $struct {
            $( $(#[$key_doc])* pub $key: $type, )*
        }

        impl Default for $struct {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $struct {
            pub(super) const KEYS: &[$crate::config::key::Key] = &[ $(
                $crate::config::key::Key {
                    section: stringify!($section),
                    name: stringify!($key),
                    kind: <$type as $crate::config::key::Leaf>::KIND,
                    range: $crate::config::key::range!($($range)?),
                    set: |settings, text| {
                        settings.$section.$key = $crate::config::key::Leaf::parse(text)?;
                        Ok(())
                    },
                    toml: |settings| $crate::config::key::Leaf::toml(&settings.$section.$key),
                    number: |settings| $crate::config::key::Leaf::number(&settings.$section.$key),
                },
            )* ];
        }
    };
}

macro_rules! range {
    () => {
        None
    };
    ($range:expr) => {
        Some($range)
    };
}

pub(super) use {range, section};
