use num_bigint::BigInt;
use proptest::prelude::*;
use prost::Message as _;
use prost_types::Any;
use snakepit_machine::{Array, Dtype, Value};

use super::{Arrays, BadValue, TYPE_URL_PREFIX, decode, encode, without_raw};

fn any_of(name: &str, text: &str) -> Any {
    Any {
        type_url: format!("{TYPE_URL_PREFIX}{name}"),
        value: text.as_bytes().to_vec(),
    }
}

fn read(name: &str, text: &str) -> Result<Value, String> {
    decode(&any_of(name, text), &[]).map_err(|bad| bad.0)
}

#[test]
fn json_of_each_type_is_read() {
    for text in ["\"NaN\"", "NaN"] {
        assert_eq!(read("float", text), Ok(Value::Float(f64::NAN)));
    }
    assert_eq!(read("float", "1"), Ok(Value::Float(1.0)));
    let huge = "123456789012345678901234567890";
    assert_eq!(
        read("integer", huge),
        Ok(Value::Integer(huge.parse().unwrap()))
    );
    assert_eq!(read("integer", "1.5"), Ok(Value::Float(1.5)));
    assert_eq!(read("string", "\"x\""), Ok(Value::String("x".into())));
    assert_eq!(read("boolean", "true"), Ok(Value::Boolean(true)));
    assert_eq!(read("string", "null"), Ok(Value::Null));
    assert_eq!(
        read("map", " {\"b\": 1, \"a\": 1.0} "),
        Ok(Value::Map("{\"b\": 1, \"a\": 1.0}".into()))
    );
    assert_eq!(read("list", "[1]"), Ok(Value::List("[1]".into())));
    let embedding = Array::new(Dtype::Float64, vec![1], 2f64.to_le_bytes().to_vec()).unwrap();
    assert_eq!(read("embedding", "[2]"), Ok(Value::Array(embedding)));
    let tensor = Array::new(Dtype::Int64, vec![1, 1], 2i64.to_le_bytes().to_vec()).unwrap();
    assert_eq!(
        read("tensor", r#"{"shape":[1,1],"data":[[2]]}"#),
        Ok(Value::Array(tensor))
    );
}

#[test]
fn bare_special_numbers_are_marked_at_any_depth() {
    assert_eq!(
        read("map", r#"{"NaN":[NaN,{"a":-Infinity}],"b":"x \" NaN"}"#),
        Ok(Value::Map(
            r#"{"NaN":[{"__snakepit_float__":"NaN"},{"a":{"__snakepit_float__":"-Infinity"}}],"b":"x \" NaN"}"#
                .into()
        ))
    );
    let Ok(Value::Array(array)) = read("embedding", "[1.5, NaN, Infinity]") else {
        panic!("it is an embedding");
    };
    assert_eq!(
        array.elements().collect::<Vec<_>>(),
        ["1.5", "\"NaN\"", "\"Infinity\""]
    );
}

#[test]
fn packed_wrappers_are_read() {
    let any = Any {
        type_url: "type.googleapis.com/google.protobuf.StringValue".into(),
        value: "hello".to_owned().encode_to_vec(),
    };
    assert_eq!(decode(&any, &[]), Ok(Value::String("hello".into())));
    let json = Any {
        value: b"\"hello\"".to_vec(),
        ..any
    };
    assert_eq!(decode(&json, &[]), Ok(Value::String("hello".into())));
}

#[test]
fn raw_arrays_are_read() {
    let about = r#"{"type":"tensor","dtype":"float32","shape":[2],"binary_format":"raw"}"#;
    let payload: Vec<u8> = [1.5f32, f32::NAN]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    let array = Array::new(Dtype::Float32, vec![2], payload.clone()).unwrap();
    // Snakepit's own suffix, and the plain type with a payload.
    for name in ["tensor.binary", "tensor"] {
        assert_eq!(
            decode(&any_of(name, about), &payload),
            Ok(Value::Array(array.clone()))
        );
    }
    for (name, about, payload, why) in [
        (
            "tensor.binary",
            about,
            &payload[1..],
            "data size doesn't match shape",
        ),
        (
            "tensor.binary",
            r#"{"binary_format":"pickle"}"#,
            &payload[..],
            "can run code",
        ),
        (
            "tensor.binary",
            r#"{"binary_format":"raw","dtype":"x"}"#,
            &payload[..],
            "use one of float16",
        ),
        (
            "tensor.binary",
            r#"{"binary_format":"raw","dtype":"int8"}"#,
            &payload[..],
            "has no shape",
        ),
        ("string", "\"x\"", &payload[..], "that does not describe it"),
    ] {
        let refused = decode(&any_of(name, about), payload).unwrap_err();
        assert!(refused.0.contains(why), "{refused}");
    }
}

#[test]
fn raw_lists_become_nested_lists_for_whom_takes_no_raw_arrays() {
    let list = |dtype: &str, shape: &str, payload: &[u8]| {
        let about =
            format!(r#"{{"type":"list","dtype":"{dtype}","shape":{shape},"binary_format":"raw"}}"#);
        let (any, beside) = without_raw(&any_of("list.binary", &about), payload)?;
        assert!(beside.is_empty() && any.type_url.ends_with("snakepit.list"));
        Ok::<_, BadValue>(String::from_utf8(any.value).unwrap())
    };
    assert_eq!(
        list("int8", "[2,2]", &[1, 255, 3, 4]).unwrap(),
        "[[1,-1],[3,4]]"
    );
    assert_eq!(list("bool", "[2]", &[1, 0]).unwrap(), "[true,false]");
    assert_eq!(list("float64", "[2,0]", &[]).unwrap(), "[[],[]]");
    let singles: Vec<u8> = [0.1f32, f32::NAN, f32::NEG_INFINITY]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    assert_eq!(
        list("float32", "[3]", &singles).unwrap(),
        r#"[0.10000000149011612,{"__snakepit_float__":"NaN"},{"__snakepit_float__":"-Infinity"}]"#
    );
    assert!(list("int8", "[3]", &[1]).is_err());
    let endless = list("int8", "[1000000000,1000000000,0]", &[]).unwrap_err();
    assert!(endless.0.contains("take it raw"), "{endless}");
    // A variable's array is what variables have, and other values stay.
    let about = r#"{"dtype":"int8","shape":[1],"binary_format":"raw"}"#;
    let (any, _) = without_raw(&any_of("tensor.binary", about), &[7]).unwrap();
    assert_eq!(
        any,
        any_of("tensor", r#"{"shape":[1],"data":[7],"dtype":"int8"}"#)
    );
    let bytes = any_of("bytes", "");
    assert_eq!(without_raw(&bytes, &[7]).unwrap(), (bytes, vec![7]));
}

#[test]
fn half_of_a_surrogate_pair_is_refused() {
    for (name, text, told) in [
        (
            "map",
            r#"{"a": ["\ud800"]}"#,
            r#"the string "\ud800", which"#,
        ),
        (
            "map",
            r#"{"\uDC00x": NaN}"#,
            r#"the string "\uDC00x", which"#,
        ),
        (
            "list",
            r#"["\u0041", "\ud83dA\ude00"]"#,
            r"the value of type list",
        ),
        (
            "tensor",
            r#"{"shape":[0],"data":[],"\ud800":1}"#,
            "surrogate",
        ),
        ("string", r#""\ud800""#, "hex escape"),
    ] {
        let refused = read(name, text).unwrap_err();
        assert!(refused.contains(told), "{refused}");
        if name != "string" {
            assert!(refused.contains("; hint: send both halves"), "{refused}");
        }
    }
    for whole in [
        r#"{"a": "\ud83d\ude00 \\ud800"}"#,
        r#"{"\u00e9": "\\\ud83d\ude00"}"#,
    ] {
        assert_eq!(read("map", whole), Ok(Value::Map(whole.into())));
    }
}

#[test]
fn keys_that_serde_json_has_for_itself_are_keys() {
    for key in ["Number", "RawValue"] {
        let number = format!(r#"{{"$serde_json::private::{key}":"2"}}"#);
        assert_eq!(read("map", &number), Ok(Value::Map(number.clone())));
        let tensor = format!(r#"{{"shape":[{number}],"data":[1,2]}}"#);
        assert!(read("tensor", &tensor).is_err());
        assert!(read("embedding", &format!("[{number}]")).is_err());
    }
}

#[test]
fn what_is_broken_is_told() {
    for (name, text, why) in [
        ("float", "{", "not JSON"),
        ("map", "{\"a\":}", "not JSON"),
        ("string", "", "not JSON"),
        ("string", "nul", "not JSON"),
        ("float", "1e999", "does not fit"),
        ("embedding", "[\"a\"]", "must be a list of numbers"),
        ("tensor", "{\"shape\":[1]}", "must be a tensor"),
    ] {
        let refused = read(name, text).unwrap_err();
        assert!(refused.contains(why), "{name} {text}: {refused}");
    }
    let none = decode(&Any::default(), &[]).unwrap_err();
    assert!(none.0.contains("no type_url"), "{none}");
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read("list", &deep(100)).is_ok());
    assert!(
        read("list", &deep(101))
            .unwrap_err()
            .contains("the limit is 100")
    );
    assert!(read("list", &deep(1_000_000)).is_err());
}

fn array() -> impl Strategy<Value = Value> {
    let dtype = prop::sample::select(Dtype::ALL.to_vec());
    (dtype, 0..4u64, 0..4u64, any::<[u8; 72]>()).prop_map(|(dtype, rows, columns, bytes)| {
        let size = usize::try_from(rows * columns).unwrap() * dtype.size_bytes();
        Value::Array(Array::new(dtype, vec![rows, columns], bytes[..size].to_vec()).unwrap())
    })
}

proptest! {
    #[test]
    fn values_come_back(
        number in any::<f64>(), integer in any::<i128>(), text in ".*", truth in any::<bool>(), bytes in any::<Vec<u8>>()
    ) {
        for value in [
            Value::Float(number),
            Value::Integer(BigInt::from(integer)),
            Value::String(text.clone()),
            Value::Boolean(truth),
            Value::Null,
            Value::Bytes(bytes.clone()),
        ] {
            let expected = match &value {
                Value::Float(number) if number.is_nan() => Value::Float(f64::NAN),
                other => other.clone(),
            };
            let (any, payload) = encode(&value, value.type_name(), Arrays::Json);
            prop_assert_eq!(decode(&any, &payload), Ok(expected));
        }
    }

    #[test]
    fn raw_arrays_come_back_bit_for_bit(value in array()) {
        let (any, payload) = encode(&value, "tensor", Arrays::Raw);
        prop_assert_eq!(decode(&any, &payload), Ok(value));
    }

    #[test]
    fn arrays_come_back_from_json(numbers in prop::collection::vec(any::<f64>(), 0..9), wholes in prop::collection::vec(any::<i64>(), 0..9)) {
        let data = numbers.iter().flat_map(|n| if n.is_nan() { f64::NAN } else { *n }.to_le_bytes()).collect();
        let floats = Array::new(Dtype::Float64, vec![numbers.len() as u64], data).unwrap();
        let data = wholes.iter().flat_map(|n| n.to_le_bytes()).collect();
        let integers = Array::new(Dtype::Int64, vec![wholes.len() as u64, 1], data).unwrap();
        let (any, _) = encode(&Value::Array(floats.clone()), "embedding", Arrays::Json);
        prop_assert_eq!(decode(&any, &[]), Ok(Value::Array(floats)));
        let (any, _) = encode(&Value::Array(integers.clone()), "tensor", Arrays::Json);
        prop_assert_eq!(decode(&any, &[]), Ok(Value::Array(integers)));
    }

    #[test]
    fn no_bytes_panic(url in ".*", name in "float|map|list|tensor|embedding|bytes|tensor.binary|string", bytes in any::<Vec<u8>>(), text in "[\\[\\]{}\",:a\\\\N0-9 -]*", payload in any::<Vec<u8>>()) {
        let _ = decode(&Any { type_url: url, value: bytes.clone() }, &payload);
        let _ = decode(&Any { type_url: name.clone(), value: bytes }, &payload);
        let _ = decode(&Any { type_url: name, value: text.into_bytes() }, &[]);
    }
}
