use num_bigint::BigInt;
use proptest::prelude::*;

use super::{Constraints, admit, by_name};
use crate::{Array, DIMENSIONS_MAX, Dtype, Value};

const TYPES: [&str; 12] = [
    "float",
    "integer",
    "string",
    "boolean",
    "choice",
    "module",
    "embedding",
    "tensor",
    "map",
    "list",
    "null",
    "bytes",
];

fn put(kind: &str, value: Value, constraints: &str) -> Result<Value, String> {
    let constraints = Constraints::parse(constraints).map_err(|rejection| rejection.message)?;
    admit(
        by_name(kind).map_err(|rejection| rejection.message)?,
        value,
        &constraints,
    )
    .map_err(|rejection| rejection.message)
}

fn int(n: i128) -> Value {
    Value::Integer(BigInt::from(n))
}

fn text(s: &str) -> Value {
    Value::String(s.into())
}

fn list(json: &str) -> Value {
    Value::List(json.into())
}

fn json_map(json: &str) -> Value {
    Value::Map(json.into())
}

fn array(dtype: Dtype, shape: &[u64], data: Vec<u8>) -> Value {
    Value::Array(Array::new(dtype, shape.to_vec(), data).unwrap())
}

fn floats(shape: &[u64], numbers: &[f64]) -> Value {
    let data = numbers.iter().flat_map(|number| number.to_le_bytes());
    array(Dtype::Float64, shape, data.collect())
}

fn whole(shape: &[u64], numbers: &[i64]) -> Value {
    let data = numbers.iter().flat_map(|number| number.to_le_bytes());
    array(Dtype::Int64, shape, data.collect())
}

/// One value of each kind.
fn all_kinds() -> Vec<Value> {
    vec![
        Value::Float(1.5),
        int(7),
        text("x"),
        Value::Boolean(true),
        Value::Null,
        Value::Bytes(vec![0, 255]),
        json_map("{}"),
        list(r#"["x"]"#),
        array(Dtype::Bool, &[1, 1], vec![1]),
    ]
}

#[test]
fn each_type_takes_its_kinds_and_tells_the_others_why() {
    // By the kinds of `all_kinds`, in their order: 1 where it is taken.
    for (kind, taken, refusal) in [
        ("float", "110000000", "must be a number"),
        ("integer", "010000000", "must be an integer"),
        ("string", "001100000", "must be a string"),
        ("boolean", "000100000", "must be a boolean (true or false)"),
        ("choice", "001110000", "must be a string"),
        ("module", "001110000", "must be a module name"),
        ("embedding", "000000000", "must be a numeric list"),
        (
            "tensor",
            "000000001",
            "must be a tensor with shape and data",
        ),
        ("map", "000000100", "must be a map"),
        ("list", "000000010", "must be a list"),
        ("null", "000010000", "must be null"),
        ("bytes", "000001000", "must be bytes"),
    ] {
        for (value, taken) in all_kinds().into_iter().zip(taken.chars()) {
            let refusal = match (kind, &value) {
                ("integer", Value::Float(_)) => "must be a whole number, got 1.5",
                ("string", Value::Null) => "cannot be nil",
                ("embedding", Value::List(_)) => "must be a list of numbers",
                _ => refusal,
            };
            let got = put(kind, value.clone(), "");
            if taken == '1' {
                assert!(got.is_ok(), "{kind} {value:?}: {got:?}");
            } else {
                assert_eq!(got, Err(refusal.into()), "{kind} {value:?}");
            }
        }
    }
    for name in ["Float", "", " float", "tensors"] {
        assert_eq!(
            put(name, int(1), ""),
            Err(format!(
                "Unknown type: {name}; hint: use one of {}",
                TYPES.join(", ")
            ))
        );
    }
}

#[test]
fn choices_are_text_out_of_a_list() {
    for (kind, key, told) in [
        ("choice", "choices", "must be one of: a, true"),
        (
            "module",
            "allowed_modules",
            "must be one of the allowed modules: a, true",
        ),
    ] {
        let some = format!(r#"{{"{key}":["a","true"]}}"#);
        assert_eq!(put(kind, text("a"), &some), Ok(text("a")));
        assert_eq!(put(kind, Value::Boolean(true), &some), Ok(text("true")));
        assert_eq!(put(kind, Value::Boolean(false), &some), Err(told.into()));
        assert_eq!(put(kind, Value::Null, &some), Err(told.into()));
        assert_eq!(put(kind, text("A"), &some), Err(told.into()));
        assert_eq!(put(kind, Value::Null, ""), Ok(text("")));
        for any in [
            format!(r#"{{"{key}":[]}}"#),
            format!(r#"{{"{key}":null}}"#),
            "{}".into(),
        ] {
            assert_eq!(put(kind, text("z"), &any), Ok(text("z")));
        }
        for wrong in [r#""a""#, "[1]", "{}"] {
            assert_eq!(
                put(kind, text("a"), &format!(r#"{{"{key}":{wrong}}}"#)),
                Err(format!(
                    "Invalid constraints: {key} must be a list of strings"
                ))
            );
        }
    }
}

#[test]
fn embeddings_are_lists_of_numbers() {
    assert_eq!(put("embedding", list("[]"), ""), Ok(floats(&[0], &[])));
    assert_eq!(
        put(
            "embedding",
            list(r#"[1, -2.5, 1e3, "NaN", "-Infinity", {"__snakepit_float__": "Infinity"}]"#),
            ""
        ),
        Ok(floats(
            &[6],
            &[
                1.0,
                -2.5,
                1000.0,
                f64::NAN,
                f64::NEG_INFINITY,
                f64::INFINITY
            ]
        ))
    );
    for items in [
        r#"["1"]"#,
        "[[1]]",
        "[null]",
        "[true]",
        "[1e400]",
        r#"["Inf"]"#,
        "[{}]",
    ] {
        assert_eq!(
            put("embedding", list(items), ""),
            Err("must be a list of numbers".into()),
            "{items}"
        );
    }
    for no_list in ["", "[1", "{}", "1"] {
        assert_eq!(
            put("embedding", list(no_list), ""),
            Err("must be a numeric list".into())
        );
    }
    // Arrays come as they are, with one dimension.
    let small = array(Dtype::Int8, &[2], vec![1, 255]);
    assert_eq!(put("embedding", small.clone(), ""), Ok(small));
    for other in [
        floats(&[1, 1], &[1.0]),
        floats(&[], &[1.0]),
        array(Dtype::Bool, &[1], vec![1]),
    ] {
        assert_eq!(
            put("embedding", other, ""),
            Err("must be a numeric list".into())
        );
    }
    let two = r#"{"dimensions":2}"#;
    assert!(put("embedding", list("[1,2]"), two).is_ok());
    for items in ["[]", "[1]", "[1,2,3]"] {
        assert_eq!(
            put("embedding", list(items), two),
            Err("must have exactly 2 dimensions".into())
        );
    }
    assert_eq!(
        put("embedding", list("[1]"), r#"{"dimensions":-1}"#),
        Err("Invalid constraints: dimensions must be a whole number of 0 or more".into())
    );
}

#[test]
fn tensors_are_shapes_with_data() {
    let tensor = |json: &str| put("tensor", json_map(json), "");
    let square = Ok(whole(&[2, 2], &[1, 2, 3, 4]));
    assert_eq!(tensor(r#"{"shape":[2,2],"data":[1,2,3,4]}"#), square);
    assert_eq!(
        tensor(r#"{"shape":[2,2],"data":[[1,2],[3,4]],"more":0}"#),
        square
    );
    assert_eq!(tensor(r#"{"shape":[],"data":[5]}"#), Ok(whole(&[], &[5])));
    assert_eq!(
        tensor(r#"{"shape":[0,3],"data":[]}"#),
        Ok(whole(&[0, 3], &[]))
    );
    assert_eq!(
        tensor(r#"{"shape":[2],"data":[9223372036854775807,-9223372036854775808]}"#),
        Ok(whole(&[2], &[i64::MAX, i64::MIN]))
    );
    // What is larger, or no integer, makes all of them floats.
    assert_eq!(
        tensor(r#"{"shape":[2],"data":[1,9223372036854775808]}"#),
        Ok(floats(&[2], &[1.0, 9_223_372_036_854_775_808.0]))
    );
    assert_eq!(
        tensor(r#"{"shape":[2],"data":[1,"NaN"],"dtype":null}"#),
        Ok(floats(&[2], &[1.0, f64::NAN]))
    );
    assert_eq!(
        tensor(r#"{"shape":[3],"data":[true,0,1],"dtype":"bool"}"#),
        Ok(array(Dtype::Bool, &[3], vec![1, 0, 1]))
    );
    assert_eq!(
        tensor(r#"{"shape":[1],"data":[18446744073709551615],"dtype":"uint64"}"#),
        Ok(array(Dtype::Uint64, &[1], vec![255; 8]))
    );
    let wrong = "must be a tensor with shape and data";
    let size = "data size doesn't match shape";
    let deep = format!(
        r#"{{"shape":[{}1],"data":[1]}}"#,
        "1,".repeat(DIMENSIONS_MAX)
    );
    for (json, why) in [
        ("", wrong),
        ("[]", wrong),
        (r#"{"shape":2,"data":[1]}"#, wrong),
        (r#"{"shape":[1.5],"data":[1]}"#, wrong),
        (r#"{"shape":[1],"data":1}"#, wrong),
        (r#"{"shape":[1],"data":[1],"dtype":1}"#, wrong),
        (r#"{"shape":[2],"data":[1]}"#, size),
        (r#"{"shape":[2],"data":[1,2,3]}"#, size),
        (r#"{"shape":[4294967296,4294967296],"data":[]}"#, size),
        (
            r#"{"shape":[1],"data":["1"],"dtype":"float16"}"#,
            "an element of the tensor is no float16",
        ),
        (
            r#"{"shape":[1],"data":[1],"dtype":"int"}"#,
            "dtype int is not one that JSON can hold",
        ),
        (
            r#"{"shape":[1],"data":[null]}"#,
            "an element of the tensor is no float64",
        ),
        (
            r#"{"shape":[1],"data":[128],"dtype":"int8"}"#,
            "an element of the tensor is no int8",
        ),
        (
            r#"{"shape":[1],"data":[-1],"dtype":"uint32"}"#,
            "an element of the tensor is no uint32",
        ),
        (
            r#"{"shape":[1],"data":[1.0],"dtype":"int64"}"#,
            "an element of the tensor is no int64",
        ),
        (
            r#"{"shape":[1],"data":[2],"dtype":"bool"}"#,
            "an element of the tensor is no bool",
        ),
        (
            &deep,
            "a tensor has 33 dimensions, the limit is 32; hint: reshape it",
        ),
    ] {
        assert_eq!(tensor(json), Err(why.into()), "{json}");
    }
    let shaped =
        |shape: &str, value: Value| put("tensor", value, &format!(r#"{{"shape":{shape}}}"#));
    let row = || whole(&[1, 2], &[1, 2]);
    assert_eq!(shaped("[1,2]", row()), Ok(row()));
    assert_eq!(shaped("null", row()), Ok(row()));
    for (shape, told) in [
        ("[2]", "shape must be [2]"),
        ("[2,1]", "shape must be [2, 1]"),
        ("[]", "shape must be []"),
    ] {
        assert_eq!(shaped(shape, row()), Err(told.into()));
    }
    for shape in ["[-1]", "3", "[\"a\"]"] {
        assert_eq!(
            shaped(shape, row()),
            Err("Invalid constraints: shape must be a list of whole numbers of 0 or more".into())
        );
    }
}

#[test]
fn arrays_hold_as_many_bytes_as_their_shape_says() {
    for dtype in Dtype::ALL {
        let size = dtype.size_bytes();
        assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        assert!(Array::new(dtype, vec![2, 3], vec![0; 6 * size]).is_ok());
        for bytes in [0, 6 * size - 1, 6 * size + 1] {
            assert_eq!(
                Array::new(dtype, vec![2, 3], vec![0; bytes]),
                Err("data size doesn't match shape".into())
            );
        }
        assert!(Array::new(dtype, vec![u64::MAX, 2], vec![]).is_err());
    }
    let most = vec![1; DIMENSIONS_MAX];
    assert!(Array::new(Dtype::Int8, most, vec![0]).is_ok());
    assert_eq!(Dtype::from_name("Float64"), None);
}

#[test]
fn plain_types_keep_what_was_sent() {
    let odd = r#"{"b": 1, "a": {"__snakepit_float__": "NaN"}, "b": NaN}"#;
    assert_eq!(put("map", json_map(odd), r#"{"min":1}"#), Ok(json_map(odd)));
    assert_eq!(put("list", list("[ 1 ]"), ""), Ok(list("[ 1 ]")));
    assert_eq!(put("null", Value::Null, ""), Ok(Value::Null));
    let bytes = Value::Bytes(vec![0, 255]);
    assert_eq!(put("bytes", bytes.clone(), ""), Ok(bytes));
}

#[test]
fn sizes_are_those_of_what_is_held() {
    for (value, bytes) in [
        (Value::Float(0.0), 8),
        (int(0), 1),
        (int(255), 1),
        (int(-256), 2),
        (text("é"), 2),
        (Value::Boolean(true), 1),
        (Value::Null, 1),
        (Value::Bytes(vec![]), 0),
        (json_map("{}"), 2),
        (list("[1]"), 3),
        (floats(&[2, 1], &[1.0, 2.0]), 32),
    ] {
        assert_eq!(value.size_bytes(), bytes, "{value:?}");
    }
}

#[test]
fn floats_are_coerced_and_bounded() {
    assert_eq!(put("float", int(2), ""), Ok(Value::Float(2.0)));
    assert_eq!(
        put("float", text("NaN"), r#"{"min":0}"#),
        Ok(Value::Float(f64::NAN))
    );
    assert_eq!(
        put("float", text("-Infinity"), r#"{"min":0}"#),
        Ok(Value::Float(f64::NEG_INFINITY))
    );
    assert_eq!(
        put("float", text("1.5"), ""),
        Err("must be a number".into())
    );
    assert_eq!(
        put("float", Value::Boolean(true), ""),
        Err("must be a number".into())
    );
    assert_eq!(
        put("float", Value::Float(2.0), r#"{"max":1}"#),
        Err("value 2.0 is above maximum 1".into())
    );
    assert_eq!(
        put("float", Value::Float(-0.5), r#"{"min":0.0}"#),
        Err("value -0.5 is below minimum 0.0".into())
    );
    assert_eq!(
        put("float", Value::Float(1.0), r#"{"min":1,"max":1}"#),
        Ok(Value::Float(1.0))
    );
}

#[test]
fn integers_of_any_size_are_exact() {
    let huge = BigInt::from(7).pow(200);
    assert_eq!(
        put("integer", Value::Integer(huge.clone()), ""),
        Ok(Value::Integer(huge.clone()))
    );
    let above = format!(r#"{{"max":{}}}"#, &huge - 1);
    assert_eq!(
        put("integer", Value::Integer(huge.clone()), &above),
        Err(format!("value {huge} is above maximum {}", &huge - 1))
    );
    assert_eq!(
        put("integer", Value::Float(9_007_199_254_740_994.0), ""),
        Ok(int(9_007_199_254_740_994))
    );
    assert_eq!(
        put("integer", Value::Float(1.5), ""),
        Err("must be a whole number, got 1.5".into())
    );
    assert_eq!(
        put("integer", Value::Boolean(true), ""),
        Err("must be an integer".into())
    );
    assert_eq!(
        put("integer", int(2), r#"{"min":2.5}"#),
        Err("value 2 is below minimum 2.5".into())
    );
    assert_eq!(put("integer", int(3), r#"{"min":2.5}"#), Ok(int(3)));
}

#[test]
fn strings_are_checked_in_order() {
    let all = r#"{"min_length":2,"max_length":3,"pattern":"^a","enum":["ab","abc"]}"#;
    assert_eq!(
        put("string", text("a"), all),
        Err("must be at least 2 characters, got 1".into())
    );
    assert_eq!(
        put("string", text("abcd"), all),
        Err("must be at most 3 characters, got 4".into())
    );
    assert_eq!(
        put("string", text("bc"), all),
        Err("must match pattern: ^a".into())
    );
    assert_eq!(
        put("string", text("ax"), all),
        Err("must be one of: ab, abc".into())
    );
    assert_eq!(put("string", text("ab"), all), Ok(text("ab")));
    assert_eq!(
        put("string", text("e\u{301}"), r#"{"max_length":1}"#),
        Ok(text("e\u{301}"))
    );
    assert_eq!(
        put("string", text("x(y"), r#"{"pattern":"("}"#),
        Ok(text("x(y"))
    );
    assert_eq!(put("string", Value::Boolean(true), ""), Ok(text("true")));
    assert_eq!(put("string", int(1), ""), Err("must be a string".into()));
}

#[test]
fn booleans_take_their_spellings() {
    for (value, truth) in [
        (text("true"), true),
        (int(0), false),
        (int(1), true),
        (Value::Boolean(false), false),
    ] {
        assert_eq!(put("boolean", value, ""), Ok(Value::Boolean(truth)));
    }
    assert_eq!(
        put("boolean", text("True"), ""),
        Err("must be a boolean (true or false)".into())
    );
}

#[test]
fn broken_constraints_are_told() {
    assert!(
        put("float", int(1), "{")
            .unwrap_err()
            .starts_with("Invalid constraints: Invalid JSON:")
    );
    assert!(
        put("float", int(1), "[1]")
            .unwrap_err()
            .starts_with("Invalid constraints: not a JSON object")
    );
    assert_eq!(
        put("float", int(1), r#"{"min":"a"}"#),
        Err("Invalid constraints: min must be a number".into())
    );
    assert!(
        put("tensr", int(1), "")
            .unwrap_err()
            .starts_with("Unknown type: tensr")
    );
}

proptest! {
    #[test]
    fn coercion_is_idempotent(number in any::<f64>(), integer in any::<i128>(), words in ".*") {
        for kind in TYPES {
            let values = [
                Value::Float(number),
                int(integer),
                text(&words),
                Value::Null,
                list(&format!("[{integer}, {}]", number.is_nan())),
                list(&format!("[1, {integer}]")),
                json_map(r#"{"shape": [1], "data": [2]}"#),
            ];
            for value in values {
                if let Ok(once) = put(kind, value, "") {
                    prop_assert_eq!(put(kind, once.clone(), ""), Ok(once));
                }
            }
        }
    }

    #[test]
    fn no_constraints_document_panics(document in ".*", words in ".*") {
        for kind in TYPES {
            for value in [text(&words), list(&words), json_map(&words)] {
                let _ = put(kind, value, &document);
            }
        }
    }
}
