//! What an event changed.

mod json;
mod text;

pub(super) use json::Change;
pub(crate) use json::value_json;
pub(super) use text::change;
