//! JSON objects that are written field by field, without being built first.

/// A map of the given fields, in that order; returns what the serializer made of it.
macro_rules! object {
    ($to:expr, {}) => {
        serde::ser::SerializeMap::end($to.serialize_map(Some(0))?)
    };
    ($to:expr, { $($name:literal: $value:expr),+ $(,)? }) => {{
        let mut object = $to.serialize_map(None)?;
        $(serde::ser::SerializeMap::serialize_entry(&mut object, $name, &$value)?;)+
        serde::ser::SerializeMap::end(object)
    }};
}

pub(super) use object;
