use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Keys that serde_json has for itself.
const PRIVATE: [&str; 2] = [
    "$serde_json::private::Number",
    "$serde_json::private::RawValue",
];

#[test]
fn no_key_is_special() {
    for key in PRIVATE {
        for value in ["1", "not a number"] {
            let text = format!(r#"{{"{key}":"{value}"}}"#);
            let mut wanted = Map::new();
            wanted.insert(key.into(), value.into());
            assert_eq!(read(&text), Ok(Value::Object(wanted.clone())));
            let inner = read(&format!(r#"[{text}, {{"a": {text}, "b": 1.50}}]"#)).unwrap();
            assert_eq!(inner[0], Value::Object(wanted.clone()));
            assert_eq!(inner[1]["a"], Value::Object(wanted));
            // And what was read is written as it was.
            let told = format!(r#"[{text},{{"a":{text},"b":1.50}}]"#);
            assert_eq!(inner.to_string(), told);
        }
    }
}

#[test]
fn documents_are_read_and_others_refused() {
    let read = |text: &str| read(text).map_err(|error| error.to_string());
    assert_eq!(
        read(" {\"a\" : [ ] , \"a\":[1,-0,true,false,null,\"\\u00e9\\n\"]}\n"),
        Ok(
            json!({"a": [1, serde_json::from_str::<Value>("-0").unwrap(), true, false, null, "é\n"]})
        )
    );
    assert_eq!(read("1E5").unwrap().to_string(), "1e+5");
    for (text, why) in [
        ("", "the document ends too early at byte 0"),
        ("1 2", "the document goes on behind its end at byte 2"),
        ("[1,]", "a value is missing at byte 3"),
        ("[1 2]", "`,` or `]` is missing at byte 3"),
        ("{1:2}", "a key is missing at byte 1"),
        ("{\"a\" 2}", "`:` is missing at byte 5"),
        ("{\"a\":2 \"b\":1}", "`,` or `}` is missing at byte 7"),
        ("{\"a\":2,}", "a key is missing at byte 7"),
        ("\"a", "a string does not end at byte 0"),
        ("\"a\\", "a string does not end at byte 0"),
        ("01", "invalid number at byte 0"),
        ("1.", "EOF while parsing a value at byte 0"),
        ("NaN", "a value is missing at byte 0"),
        ("nul", "a value is missing at byte 0"),
    ] {
        assert_eq!(read(text), Err(why.to_owned()), "{text}");
    }
    for half in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#"{"\ud800\u0061":1}"#,
        "\"a\nb\"",
    ] {
        assert!(read(half).is_err(), "{half}");
    }
}

#[test]
fn levels_are_counted() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    let error = read(&nested(DEPTH_MAX + 1)).unwrap_err().to_string();
    assert!(error.starts_with("more than 127 levels"), "{error}");
    // As serde_json counts them.
    assert!(serde_json::from_str::<Value>(&nested(DEPTH_MAX)).is_ok());
    assert!(serde_json::from_str::<Value>(&nested(DEPTH_MAX + 1)).is_err());
}

#[test]
fn a_key_may_have_to_be_unique() {
    let twice = r#"{"a": 1, "b": {"\u0061": 1, "a": 2}}"#;
    assert_eq!(read(twice).unwrap()["b"]["a"], json!(2));
    let error = read_unique(twice).unwrap_err().to_string();
    assert_eq!(error, "a key that its object has already at byte 28");
    assert!(read_unique(r#"[{"a": 1}, {"a": 2}]"#).is_ok());
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_reads_what_serde_json_writes_and_agrees_with_it(tree in tree(), at in any::<usize>(), byte in 0_u8..128) {
        for text in [tree.to_string(), serde_json::to_string_pretty(&tree).unwrap()] {
            prop_assert_eq!(read_unique(&text), Ok(tree.clone()));
            // With one byte changed, both find the same, or neither anything.
            let mut changed = text.into_bytes();
            let at = at % changed.len();
            changed[at] = byte;
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert_eq!(read(&changed).ok(), serde_json::from_str(&changed).ok());
            }
        }
    }
}
