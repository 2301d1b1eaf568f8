//! Arrays of numbers, as embeddings and tensors hold them.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value as Json};

/// Dimensions that an array may have.
pub const DIMENSIONS_MAX: usize = 32;

/// Elements, little-endian and row-major. Make one with [`Array::new`], which checks that they fit the shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// What an element is.
    pub dtype: Dtype,
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// The elements.
    pub data: Vec<u8>,
}

/// What the elements of an array are; names and layouts are numpy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Dtype {
    Float16,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Bool,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Float16,
        Self::Float32,
        Self::Float64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Bool,
    ];

    /// Name on the wire and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Bool => "bool",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Size of an element, in bytes.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 | Self::Bool => 1,
            Self::Float16 | Self::Int16 | Self::Uint16 => 2,
            Self::Float32 | Self::Int32 | Self::Uint32 => 4,
            Self::Float64 | Self::Int64 | Self::Uint64 => 8,
        }
    }
}

impl Array {
    /// An array, or why its parts do not fit.
    pub fn new(dtype: Dtype, shape: Vec<u64>, data: Vec<u8>) -> Result<Self, String> {
        if shape.len() > DIMENSIONS_MAX {
            return Err(format!(
                "a tensor has {} dimensions, the limit is {DIMENSIONS_MAX}; hint: reshape it",
                shape.len()
            ));
        }
        let elements = shape
            .iter()
            .try_fold(1u64, |product, length| product.checked_mul(*length));
        let bytes = elements.and_then(|elements| elements.checked_mul(dtype.size_bytes() as u64));
        if bytes != Some(data.len() as u64) {
            return Err("data size doesn't match shape".into());
        }
        Ok(Self { dtype, shape, data })
    }

    /// An embedding of a JSON array of numbers.
    pub fn embedding(items: &[Json]) -> Result<Self, String> {
        let mut data = Vec::with_capacity(items.len() * 8);
        for item in items {
            let number = real(item).ok_or("must be a list of numbers")?;
            data.extend_from_slice(&number.to_le_bytes());
        }
        Self::new(Dtype::Float64, vec![items.len() as u64], data)
    }

    /// A tensor of a JSON object with `shape`, `data` (nested or not) and, optionally, `dtype`.
    pub fn tensor(document: &serde_json::Map<String, Json>) -> Result<Self, String> {
        let wrong = || "must be a tensor with shape and data".to_owned();
        let (Some(Json::Array(lengths)), Some(Json::Array(data))) =
            (document.get("shape"), document.get("data"))
        else {
            return Err(wrong());
        };
        let shape: Option<Vec<u64>> = lengths.iter().map(Json::as_u64).collect();
        let shape = shape.ok_or_else(wrong)?;
        let mut elements = Vec::new();
        flatten(data, &mut elements);
        let dtype = match document.get("dtype") {
            None | Some(Json::Null) if elements.iter().all(|item| item.as_i64().is_some()) => {
                Dtype::Int64
            }
            None | Some(Json::Null) => Dtype::Float64,
            Some(Json::String(name)) => Dtype::from_name(name)
                .ok_or_else(|| format!("dtype {name} is not one that JSON can hold"))?,
            Some(_) => return Err(wrong()),
        };
        // Checked before elements are converted: the message is about the shape then.
        let wanted = shape
            .iter()
            .try_fold(1u64, |product, length| product.checked_mul(*length));
        if wanted != Some(elements.len() as u64) {
            return Err("data size doesn't match shape".into());
        }
        let mut bytes = Vec::with_capacity(elements.len() * dtype.size_bytes());
        for item in elements {
            put(dtype, item, &mut bytes)
                .ok_or_else(|| format!("an element of the tensor is no {}", dtype.name()))?;
        }
        Self::new(dtype, shape, bytes)
    }

    /// The elements as JSON numbers, in order; what JSON does not know as a string.
    pub fn elements(&self) -> impl Iterator<Item = String> + '_ {
        self.data
            .chunks_exact(self.dtype.size_bytes())
            .map(|bytes| element(self.dtype, bytes))
    }
}

/// NaN and the infinities as strings, as everywhere at the top of a value.
fn real(item: &Json) -> Option<f64> {
    match item {
        Json::Number(number) => number
            .to_string()
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite()),
        Json::String(text) => special(text),
        Json::Object(marked) if marked.len() == 1 => {
            special(marked.get("__snakepit_float__")?.as_str()?)
        }
        _ => None,
    }
}

fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn flatten<'a>(items: &'a [Json], into: &mut Vec<&'a Json>) {
    for item in items {
        match item {
            Json::Array(inner) => flatten(inner, into),
            other => into.push(other),
        }
    }
}

fn put(dtype: Dtype, item: &Json, bytes: &mut Vec<u8>) -> Option<()> {
    fn whole<T: TryFrom<i128>>(item: &Json) -> Option<T> {
        match item {
            Json::Number(number) => T::try_from(whole_number(number)?).ok(),
            _ => None,
        }
    }
    match dtype {
        Dtype::Float16 => bytes.extend_from_slice(&half_bits(real(item)?).to_le_bytes()),
        #[expect(clippy::cast_possible_truncation, reason = "a float32 was asked for")]
        Dtype::Float32 => bytes.extend_from_slice(&(real(item)? as f32).to_le_bytes()),
        Dtype::Float64 => bytes.extend_from_slice(&real(item)?.to_le_bytes()),
        Dtype::Int8 => bytes.extend_from_slice(&whole::<i8>(item)?.to_le_bytes()),
        Dtype::Int16 => bytes.extend_from_slice(&whole::<i16>(item)?.to_le_bytes()),
        Dtype::Int32 => bytes.extend_from_slice(&whole::<i32>(item)?.to_le_bytes()),
        Dtype::Int64 => bytes.extend_from_slice(&whole::<i64>(item)?.to_le_bytes()),
        Dtype::Uint8 => bytes.extend_from_slice(&whole::<u8>(item)?.to_le_bytes()),
        Dtype::Uint16 => bytes.extend_from_slice(&whole::<u16>(item)?.to_le_bytes()),
        Dtype::Uint32 => bytes.extend_from_slice(&whole::<u32>(item)?.to_le_bytes()),
        Dtype::Uint64 => bytes.extend_from_slice(&whole::<u64>(item)?.to_le_bytes()),
        Dtype::Bool => bytes.push(match item {
            Json::Bool(truth) => u8::from(*truth),
            other => whole::<u8>(other).filter(|digit| *digit <= 1)?,
        }),
    }
    Some(())
}

fn whole_number(number: &Number) -> Option<i128> {
    number.to_string().parse().ok()
}

fn element(dtype: Dtype, bytes: &[u8]) -> String {
    /// The sizes agree: elements come from `chunks_exact`.
    fn take<const N: usize>(bytes: &[u8]) -> [u8; N] {
        let mut taken = [0; N];
        taken.copy_from_slice(bytes);
        taken
    }
    match dtype {
        Dtype::Float16 => text_of(half(u16::from_le_bytes(take(bytes)))),
        Dtype::Float32 => {
            let number = f32::from_le_bytes(take(bytes));
            if number.is_finite() {
                format!("{number:?}")
            } else {
                text_of(number.into())
            }
        }
        Dtype::Float64 => text_of(f64::from_le_bytes(take(bytes))),
        Dtype::Int8 => i8::from_le_bytes(take(bytes)).to_string(),
        Dtype::Int16 => i16::from_le_bytes(take(bytes)).to_string(),
        Dtype::Int32 => i32::from_le_bytes(take(bytes)).to_string(),
        Dtype::Int64 => i64::from_le_bytes(take(bytes)).to_string(),
        Dtype::Uint8 => bytes[0].to_string(),
        Dtype::Uint16 => u16::from_le_bytes(take(bytes)).to_string(),
        Dtype::Uint32 => u32::from_le_bytes(take(bytes)).to_string(),
        Dtype::Uint64 => u64::from_le_bytes(take(bytes)).to_string(),
        Dtype::Bool => (bytes[0] != 0).to_string(),
    }
}

fn text_of(number: f64) -> String {
    if number.is_finite() {
        format!("{number:?}")
    } else if number.is_nan() {
        "\"NaN\"".into()
    } else if number > 0.0 {
        "\"Infinity\"".into()
    } else {
        "\"-Infinity\"".into()
    }
}

/// IEEE 754 binary16, exactly.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// The binary16 that is nearest to a number, the even one of two; beyond the largest an infinity.
fn half_bits(number: f64) -> u16 {
    const SMALLEST_NORMAL: f64 = 1.0 / 16_384.0;
    let sign = u16::from(number.is_sign_negative()) << 15;
    let size = number.abs();
    if size.is_nan() {
        return 0x7e00;
    }
    if size >= 65_520.0 {
        return sign | 0x7c00;
    }
    let exponent = if size < SMALLEST_NORMAL {
        -14
    } else {
        // Of a double; a number in this range has one of 16 bits.
        ((size.to_bits() >> 52) as i32) - 1023
    };
    // Whole steps between neighbours, 2048 at most; dividing by a power of two is exact.
    let steps = (size / 2f64.powi(exponent - 10)).round_ties_even() as u16;
    let below = if size < SMALLEST_NORMAL {
        0
    } else {
        // The leading one is not stored: it is the first 1024 steps.
        (exponent + 14) as u16
    };
    sign | ((below << 10) + steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn tensors_are_read_and_written() {
        let tensor = |text: &str| Array::tensor(parse(text).as_object().unwrap());
        let nested = tensor(r#"{"shape":[2,2],"data":[[1,2],[3,4]]}"#).unwrap();
        assert_eq!((nested.dtype, nested.data.len()), (Dtype::Int64, 32));
        assert_eq!(nested.elements().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        let mixed = tensor(r#"{"shape":[2],"data":[1,2.5]}"#).unwrap();
        assert_eq!(mixed.elements().collect::<Vec<_>>(), ["1.0", "2.5"]);
        let small = tensor(r#"{"shape":[2],"data":[0.1,"NaN"],"dtype":"float32"}"#).unwrap();
        assert_eq!(small.elements().collect::<Vec<_>>(), ["0.1", "\"NaN\""]);
        for (text, why) in [
            (r#"{"shape":[2]}"#, "must be a tensor with shape and data"),
            (
                r#"{"shape":[-1],"data":[1]}"#,
                "must be a tensor with shape and data",
            ),
            (
                r#"{"shape":[3],"data":[1]}"#,
                "data size doesn't match shape",
            ),
            (
                r#"{"shape":[18446744073709551615,18446744073709551615],"data":[1]}"#,
                "data size doesn't match shape",
            ),
            (
                r#"{"shape":[1],"data":["x"]}"#,
                "an element of the tensor is no float64",
            ),
            (
                r#"{"shape":[1],"data":[300],"dtype":"uint8"}"#,
                "an element of the tensor is no uint8",
            ),
        ] {
            assert_eq!(tensor(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn half_floats_are_exact() {
        for (bits, want) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f64.powi(-24)),
            (0x7bff, 65504.0),
        ] {
            assert_eq!(half(bits).to_bits(), f64::to_bits(want));
        }
        assert!(half(0x7e00).is_nan());
        for bits in 0..=u16::MAX {
            let number = half(bits);
            if !number.is_nan() {
                assert_eq!(half_bits(number), bits, "{number}");
            }
        }
        // Halfway between two of them the even one is nearest; a little more decides.
        for (number, want) in [
            (1.0 + 2f64.powi(-11), 0x3c00),
            (1.0 + 3.0 * 2f64.powi(-11), 0x3c02),
            (1.0 + 2f64.powi(-11) + 2f64.powi(-30), 0x3c01),
            (2f64.powi(-25), 0x0000),
            (-3.0 * 2f64.powi(-25), 0x8002),
            (2f64.powi(-14) - 2f64.powi(-26), 0x0400),
            (65_519.9, 0x7bff),
            (65_520.0, 0x7c00),
            (-1e300, 0xfc00),
            (f64::NAN, 0x7e00),
        ] {
            assert_eq!(half_bits(number), want, "{number}");
        }
        assert_eq!(half(0xfc00).to_bits(), f64::NEG_INFINITY.to_bits());
    }
}
