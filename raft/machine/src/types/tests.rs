use num_bigint::BigInt;
use proptest::prelude::*;

use super::{Constraints, admit, by_name};
use crate::Value;

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
        for kind in ["float", "integer", "string", "boolean"] {
            for value in [Value::Float(number), int(integer), text(&words)] {
                if let Ok(once) = put(kind, value, "") {
                    prop_assert_eq!(put(kind, once.clone(), ""), Ok(once));
                }
            }
        }
    }

    #[test]
    fn no_constraints_document_panics(document in ".*", words in ".*") {
        for kind in ["float", "integer", "string", "boolean"] {
            let _ = put(kind, text(&words), &document);
        }
    }
}
