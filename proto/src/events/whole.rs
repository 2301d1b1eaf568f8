//! Whether a release knows all of an event: a reader of protobuf passes over fields that its schema lacks, and
//! what it shows or folds is then less than what was logged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

use super::DecodeError;

const PACKAGE: &str = "snakepit.events.v1";

/// A message of the schema.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) fields: BTreeMap<u32, Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    kind: Type,
    /// The full name of a field's message.
    pub(super) message: String,
    is_map: bool,
    repeated: bool,
    pub(super) oneof: Option<i32>,
}

/// Where an event's bytes say something that is lost on this release.
///
/// # Errors
///
/// `Unread`, with the place, where they have a field that the schema lacks, a number that its type does not
/// hold, one field twice, or no end.
pub fn check_whole(bytes: &[u8]) -> Result<(), DecodeError> {
    walk(&format!(".{PACKAGE}.Event"), bytes)
}

fn walk(message: &str, bytes: &[u8]) -> Result<(), DecodeError> {
    let short = message.rsplit('.').next().unwrap_or(message);
    let unread = |what: String| Err(DecodeError::Unread(format!("{short}{what}")));
    let Some(shape) = shapes().get(message) else {
        return unread(" is no message of the schema".into());
    };
    let (mut seen, mut oneofs, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut left = Wire(bytes);
    while !left.0.is_empty() {
        let Some((number, content)) = left.field() else {
            return unread(" ends in the middle of a field".into());
        };
        let Some(field) = shape.fields.get(&number) else {
            return unread(format!(" has an unknown field {number}"));
        };
        let twice = !field.repeated && !seen.insert(number);
        if twice || field.oneof.is_some_and(|oneof| !oneofs.insert(oneof)) {
            return unread(format!(".{} stands twice", field.name));
        }
        match content {
            Content::Number(value) if !holds(field.kind, value) => {
                let name = &field.name;
                return unread(format!(".{name} is {value}, which its type does not hold"));
            }
            Content::Bytes(entry) if field.is_map && !keys.insert((number, key_of(entry))) => {
                return unread(format!(".{} has a key twice", field.name));
            }
            Content::Bytes(inner) if field.kind == Type::Message => walk(&field.message, inner)?,
            _ => {}
        }
    }
    Ok(())
}

/// Types of the schema whose varints have fewer values than 64 bits.
fn holds(kind: Type, value: u64) -> bool {
    match kind {
        Type::Bool => value <= 1,
        Type::Uint32 => u32::try_from(value).is_ok(),
        _ => true,
    }
}

/// The key of a map's entry, which is text in all of them; empty where it is left out.
fn key_of(entry: &[u8]) -> &[u8] {
    let mut left = Wire(entry);
    let mut key: &[u8] = &[];
    while let Some((number, content)) = left.field() {
        if let (1, Content::Bytes(bytes)) = (number, content) {
            key = bytes;
        }
    }
    key
}

/// What a field holds.
pub(super) enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Bytes in protobuf's encoding.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    /// The next field; `None` at the end, and where there is none.
    pub(super) fn field(&mut self) -> Option<(u32, Content<'a>)> {
        let key = self.number()?;
        let content = match key & 7 {
            0 => Content::Number(self.number()?),
            1 => self.take(8).map(|_| Content::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Content::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Content::Fixed)?,
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok()?, content))
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let bits = u64::from(byte & 0x7f);
            // Of the tenth byte one bit is left.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }
}

/// The messages of the schema, by their full names.
pub(super) fn shapes() -> &'static BTreeMap<String, Shape> {
    static SHAPES: OnceLock<BTreeMap<String, Shape>> = OnceLock::new();
    SHAPES.get_or_init(|| {
        // Made by the build; were it damaged, every event would have unknown fields.
        let files = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap_or_default();
        let mut shapes = BTreeMap::new();
        let own = files.file.iter().filter(|file| file.package() == PACKAGE);
        for message in own.flat_map(|file| &file.message_type) {
            insert(&mut shapes, &format!(".{PACKAGE}"), message);
        }
        shapes
    })
}

fn insert(shapes: &mut BTreeMap<String, Shape>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    let is_entry = |type_name: &str| {
        message.nested_type.iter().any(|nested| {
            type_name == format!("{name}.{}", nested.name())
                && nested.options.as_ref().is_some_and(|of| of.map_entry())
        })
    };
    let fields = message.field.iter().map(|field| {
        let known = Field {
            name: field.name().to_owned(),
            kind: field.r#type(),
            message: field.type_name().to_owned(),
            is_map: is_entry(field.type_name()),
            repeated: field.label() == Label::Repeated,
            oneof: field.oneof_index,
        };
        (u32::try_from(field.number()).unwrap_or(0), known)
    });
    let shape = Shape {
        fields: fields.collect(),
    };
    for nested in &message.nested_type {
        insert(shapes, &name, nested);
    }
    shapes.insert(name, shape);
}
