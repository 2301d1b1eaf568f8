//! Values of every type, written through one node and read through the others, bit for bit.

use std::collections::BTreeMap;

use prost_types::Any;
use serde_json::{Value as Json, json};
use snakepit_cluster_tests::calls::{Calls, create, register};
use snakepit_cluster_tests::raw::{any, refused, with};
use snakepit_cluster_tests::{Cluster, Spec};
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tonic::Code;

/// A value as it is sent, and as it must come back to callers of both kinds.
struct Sample {
    type_name: &'static str,
    value: Any,
    payload: Vec<u8>,
    /// JSON, and what goes beside it.
    json: (String, Vec<u8>),
    /// For those who take raw arrays; else as JSON.
    raw: Option<(Json, Vec<u8>)>,
}

/// A value that comes back as JSON.
fn sample(type_name: &'static str, sent: &str, back: &str) -> Sample {
    Sample {
        type_name,
        value: any(type_name, sent),
        payload: Vec::new(),
        json: (back.into(), Vec::new()),
        raw: None,
    }
}

fn same(type_name: &'static str, json: &str) -> Sample {
    sample(type_name, json, json)
}

fn about(type_name: &str, dtype: &str, shape: &[usize]) -> Json {
    json!({"type": type_name, "dtype": dtype, "shape": shape, "binary_format": "raw"})
}

/// A raw array, and its elements as JSON.
fn array(
    type_name: &'static str,
    dtype: &str,
    shape: &[usize],
    data: Vec<u8>,
    elements: &str,
) -> Sample {
    // What JSON numbers are read as without being told.
    let told = match dtype {
        "float64" | "int64" => String::new(),
        other => format!(",\"dtype\":\"{other}\""),
    };
    let back = match type_name {
        "embedding" => elements.to_owned(),
        _ => format!("{{\"shape\":{shape:?},\"data\":{elements}{told}}}"),
    };
    let about = about(type_name, dtype, shape);
    Sample {
        type_name,
        value: any(&format!("{type_name}.binary"), about.to_string()),
        payload: data.clone(),
        json: (back, Vec::new()),
        raw: Some((about, data)),
    }
}

fn bytes_of<const N: usize, const M: usize>(elements: [[u8; N]; M]) -> Vec<u8> {
    elements.into_iter().flatten().collect()
}

/// Four elements of each dtype, with the values at its ends.
fn elements() -> Vec<(&'static str, Vec<u8>, String)> {
    let whole = |numbers: [i128; 4]| {
        format!(
            "[{},{},{},{}]",
            numbers[0], numbers[1], numbers[2], numbers[3]
        )
    };
    macro_rules! integers {
        ($($name:literal: $type:ty),*) => {
            vec![$(($name, bytes_of([<$type>::MIN, 0, 7, <$type>::MAX].map(<$type>::to_le_bytes)),
                whole([<$type>::MIN, 0, 7, <$type>::MAX].map(i128::from)))),*]
        };
    }
    let mut all = integers!("int8": i8, "int16": i16, "int32": i32, "int64": i64,
        "uint8": u8, "uint16": u16, "uint32": u32, "uint64": u64);
    // NaNs that carry something, one of them signalling and negative.
    let f16 = [0x7e2a_u16, 0xbc00, 0x0001, 0xfc00].map(u16::to_le_bytes);
    all.push((
        "float16",
        bytes_of(f16),
        "[\"NaN\",-1.0,5.960464477539063e-8,\"-Infinity\"]".into(),
    ));
    let f32 = [0xffa0_1234_u32, 0x8000_0000, 0x3dcc_cccd, 0x7f80_0000].map(u32::to_le_bytes);
    all.push((
        "float32",
        bytes_of(f32),
        "[\"NaN\",-0.0,0.1,\"Infinity\"]".into(),
    ));
    let f64 = [
        0xfff4_0000_dead_beef_u64,
        1,
        0x3fb9_9999_9999_999a,
        0xfff0_0000_0000_0000,
    ];
    let text = "[\"NaN\",5e-324,0.1,\"-Infinity\"]";
    all.push(("float64", bytes_of(f64.map(u64::to_le_bytes)), text.into()));
    all
}

fn samples() -> Vec<Sample> {
    let big = format!("-{}", "9".repeat(60));
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let marker = r#"{"__snakepit_float__":"NaN"}"#;
    let nested = |number: &str| {
        format!(
            "{{\"b\": [1.10, {{\"x\": {number}}}], \"a\": {{\"__snakepit_bytes__\": \"AP8=\"}}, \"n\": {big}, \"\\u00e9\": \"NaN\"}}"
        )
    };
    let mut samples = vec![
        same("float", "0.30000000000000004"),
        same("float", "5e-324"),
        same("float", "-0.0"),
        same("float", "\"NaN\""),
        sample("float", "Infinity", "\"Infinity\""),
        same("float", "\"-Infinity\""),
        sample("float", "3", "3.0"),
        same("integer", &big),
        same("integer", "-9223372036854775808"),
        sample("integer", "4.0", "4"),
        same("string", &json!("é\u{0}\"\\\n😀\u{202e}").to_string()),
        sample("string", "true", "\"true\""),
        same("boolean", "true"),
        sample("boolean", "0", "false"),
        same("choice", "\"red\""),
        sample("choice", "null", "\"\""),
        same("module", "\"ChainOfThought\""),
        same("null", "null"),
        same("map", &nested(marker)),
        sample("map", &nested("NaN"), &nested(marker)),
        same(
            "map",
            r#"{"__snakepit_=float__": "NaN", "__snakepit_==": 1}"#,
        ),
        same("map", r#"{ }"#),
        same("list", &deep),
        same("list", r#"[null, true, 1.0, 1, "1", {}]"#),
        array(
            "tensor",
            "bool",
            &[1, 4],
            vec![1, 0, 0, 1],
            "[true,false,false,true]",
        ),
        array("tensor", "int8", &[], vec![0x80], "[-128]"),
        array("tensor", "float32", &[0, 3], vec![], "[]"),
    ];
    let everything: Vec<u8> = (0..=255).collect();
    for (sent, payload) in [(Vec::new(), everything.clone()), (everything, Vec::new())] {
        let back = if payload.is_empty() {
            sent.clone()
        } else {
            payload.clone()
        };
        samples.push(Sample {
            type_name: "bytes",
            value: any("bytes", sent),
            payload,
            json: (String::new(), back),
            raw: None,
        });
    }
    let doubles = bytes_of([1.0_f64, 2.5].map(f64::to_le_bytes));
    samples.push(Sample {
        raw: Some((about("embedding", "float64", &[2]), doubles)),
        ..sample("embedding", "[1, 2.5]", "[1.0,2.5]")
    });
    let whole = bytes_of([1_i64, 2, 3, 4].map(i64::to_le_bytes));
    samples.push(Sample {
        raw: Some((about("tensor", "int64", &[2, 2]), whole)),
        ..sample(
            "tensor",
            r#"{"shape": [2, 2], "data": [[1, 2], [3, 4]]}"#,
            r#"{"shape":[2, 2],"data":[1,2,3,4]}"#,
        )
    });
    for (dtype, data, text) in elements() {
        samples.push(array("embedding", dtype, &[4], data.clone(), &text));
        samples.push(array("tensor", dtype, &[2, 1, 2], data, &text));
    }
    samples
}

fn named(samples: &[Sample]) -> impl Iterator<Item = (String, &Sample)> {
    samples
        .iter()
        .enumerate()
        .map(|(number, sample)| (format!("v{number}"), sample))
}

/// Every node gives every value, at this version, to callers of both kinds.
async fn check(nodes: &[Calls], samples: &[Sample], version: i32) {
    for node in nodes {
        for raw in [false, true] {
            let asked = BatchGetVariablesRequest {
                session_id: "s".into(),
                variable_identifiers: named(samples).map(|(name, _)| name).collect(),
                ..Default::default()
            };
            let arrays = if raw { "raw" } else { "json" };
            let asked = with(asked, &[(headers::ARRAYS, arrays)]);
            let told = node
                .bridge
                .clone()
                .get_variables(asked)
                .await
                .unwrap()
                .into_inner();
            assert!(told.missing_variables.is_empty(), "{told:?}");
            for (name, sample) in named(samples) {
                let found = &told.variables[&name];
                let value = found.value.clone().unwrap();
                let at = format!(
                    "node {}, {arrays}, {} {name}: {found:?}",
                    node.node, sample.type_name
                );
                assert_eq!(
                    (found.version, found.r#type.as_str()),
                    (version, sample.type_name),
                    "{at}"
                );
                match &sample.raw {
                    Some((about, data)) if raw => {
                        assert_eq!(
                            value.type_url,
                            any(&format!("{}.binary", sample.type_name), "").type_url,
                            "{at}"
                        );
                        assert_eq!(
                            serde_json::from_slice::<Json>(&value.value).unwrap(),
                            *about,
                            "{at}"
                        );
                        assert_eq!(found.binary_value, data, "{at}");
                    }
                    _ => {
                        assert_eq!(value, any(sample.type_name, sample.json.0.clone()), "{at}");
                        assert_eq!(found.binary_value, sample.json.1, "{at}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn every_type_is_the_same_through_every_node() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    let samples = samples();
    for (name, sample) in named(&samples) {
        let asked = RegisterVariableRequest {
            initial_value: Some(sample.value.clone()),
            initial_binary_value: sample.payload.clone().into(),
            ..register("s", &name, sample.type_name, "")
        };
        let told = nodes[0].bridge.clone().register_variable(asked).await;
        told.unwrap_or_else(|status| panic!("{} {:?}: {status:?}", sample.type_name, sample.value));
    }
    check(&nodes, &samples, 1).await;
    for (name, sample) in named(&samples) {
        let asked = SetVariableRequest {
            session_id: "s".into(),
            variable_identifier: name,
            value: Some(sample.value.clone()),
            binary_value: sample.payload.clone().into(),
            ..Default::default()
        };
        nodes[1].bridge.clone().set_variable(asked).await.unwrap();
    }
    check(&nodes, &samples, 2).await;
    let batch = BatchSetVariablesRequest {
        session_id: "s".into(),
        updates: named(&samples)
            .map(|(name, sample)| (name, sample.value.clone()))
            .collect(),
        binary_updates: named(&samples)
            .map(|(name, sample)| (name, sample.payload.clone().into()))
            .collect(),
        atomic: true,
        ..Default::default()
    };
    let told = nodes[2]
        .bridge
        .clone()
        .set_variables(batch)
        .await
        .unwrap()
        .into_inner();
    assert!(told.success && told.errors.is_empty(), "{told:?}");
    check(&nodes, &samples, 3).await;
    cluster.verify().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_snakepits_words() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    let eight = vec![0; 8];
    let raw = |shape: &[usize]| about("tensor", "float64", shape).to_string();
    let other = |format: &str| {
        json!({"binary_format": format, "shape": [1], "dtype": "float64"}).to_string()
    };
    let none: Vec<u8> = Vec::new();
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    // Type, constraints, a value that fits, one that does not and its payload, and why.
    let bad = [
        (
            "float",
            r#"{"max": 1}"#,
            "1",
            "2.0",
            &none,
            "value 2.0 is above maximum 1",
        ),
        (
            "float",
            r#"{"min": 0.5}"#,
            "NaN",
            "0",
            &none,
            "value 0.0 is below minimum 0.5",
        ),
        ("float", "", "1", "\"x\"", &none, "must be a number"),
        ("float", "", "1", "1e400", &none, "does not fit a float"),
        (
            "integer",
            r#"{"min": 3}"#,
            "3",
            "2",
            &none,
            "value 2 is below minimum 3",
        ),
        (
            "integer",
            r#"{"max": 3, "other": []}"#,
            "3",
            "4",
            &none,
            "value 4 is above maximum 3",
        ),
        (
            "integer",
            "",
            "3",
            "1.5",
            &none,
            "must be a whole number, got 1.5",
        ),
        ("integer", "", "3", "true", &none, "must be an integer"),
        (
            "string",
            r#"{"min_length": 2}"#,
            "\"e\u{301}e\"",
            "\"e\u{301}\"",
            &none,
            "must be at least 2 characters, got 1",
        ),
        (
            "string",
            r#"{"max_length": 2}"#,
            "\"ab\"",
            "\"abc\"",
            &none,
            "must be at most 2 characters, got 3",
        ),
        (
            "string",
            r#"{"pattern": "^a+$"}"#,
            "\"aa\"",
            "\"ab\"",
            &none,
            "must match pattern: ^a+$",
        ),
        (
            "string",
            r#"{"pattern": "a("}"#,
            "\"xa(x\"",
            "\"a\"",
            &none,
            "must match pattern: a(",
        ),
        (
            "string",
            r#"{"enum": ["a", "b"]}"#,
            "\"b\"",
            "\"c\"",
            &none,
            "must be one of: a, b",
        ),
        ("string", "", "\"x\"", "null", &none, "cannot be nil"),
        (
            "boolean",
            "",
            "true",
            "2",
            &none,
            "must be a boolean (true or false)",
        ),
        (
            "choice",
            r#"{"choices": ["a", "b"]}"#,
            "\"a\"",
            "\"c\"",
            &none,
            "must be one of: a, b",
        ),
        ("choice", "", "\"a\"", "1", &none, "must be a string"),
        (
            "module",
            r#"{"allowed_modules": ["A"]}"#,
            "\"A\"",
            "\"B\"",
            &none,
            "must be one of the allowed modules: A",
        ),
        (
            "embedding",
            r#"{"dimensions": 2}"#,
            "[1, 2]",
            "[1]",
            &none,
            "must have exactly 2 dimensions",
        ),
        (
            "embedding",
            "",
            "[1]",
            "[\"x\"]",
            &none,
            "must be a list of numbers",
        ),
        (
            "tensor",
            r#"{"shape": [1]}"#,
            r#"{"shape": [1], "data": [1]}"#,
            r#"{"shape": [2], "data": [1, 2]}"#,
            &none,
            "shape must be [1]",
        ),
        (
            "tensor",
            "",
            r#"{"shape": [1], "data": [1]}"#,
            r#"{"shape": [3], "data": [1]}"#,
            &none,
            "data size doesn't match shape",
        ),
        (
            "tensor",
            "",
            r#"{"shape": [1], "data": [1]}"#,
            &raw(&[2]),
            &eight,
            "data size doesn't match shape",
        ),
        (
            "tensor",
            "",
            r#"{"shape": [1], "data": [1]}"#,
            &other("pickle"),
            &eight,
            "pickle",
        ),
        (
            "tensor",
            "",
            r#"{"shape": [1], "data": [1]}"#,
            &other("erlang_binary"),
            &eight,
            "erlang_binary",
        ),
        ("embedding", "", "[1]", &other("pickle"), &eight, "pickle"),
        ("map", "", "{}", "[]", &none, "must be a map"),
        ("map", "", "{}", "{\"x\": }", &none, "not JSON"),
        ("list", "", "[]", "{}", &none, "must be a list"),
        ("list", "", "[]", &deep, &none, "101 deep"),
        ("null", "", "null", "0", &none, "must be null"),
    ];
    let mut before = BTreeMap::new();
    for (number, (type_name, constraints, good, bad, payload, why)) in bad.into_iter().enumerate() {
        let node = |step: usize| nodes[(number + step) % 3].bridge.clone();
        let name = format!("v{number}");
        let registration = RegisterVariableRequest {
            constraints_json: constraints.into(),
            ..register("s", &name, type_name, good)
        };
        let refusal = RegisterVariableRequest {
            initial_value: Some(any(type_name, bad)),
            initial_binary_value: payload.clone().into(),
            ..registration.clone()
        };
        refused(
            node(0).register_variable(refusal).await,
            Code::InvalidArgument,
            why,
        );
        node(0).register_variable(registration).await.unwrap();
        let refusal = SetVariableRequest {
            session_id: "s".into(),
            variable_identifier: name.clone(),
            value: Some(any(type_name, bad)),
            binary_value: payload.clone().into(),
            ..Default::default()
        };
        refused(
            node(1).set_variable(refusal).await,
            Code::InvalidArgument,
            why,
        );
        let refusal = BatchSetVariablesRequest {
            session_id: "s".into(),
            updates: BTreeMap::from([(name.clone(), any(type_name, bad))]),
            binary_updates: BTreeMap::from([(name.clone(), payload.clone().into())]),
            ..Default::default()
        };
        let told = node(2).set_variables(refusal).await.unwrap().into_inner();
        assert!(
            !told.success && told.errors[&name].contains(why),
            "{why}: {told:?}"
        );
        before.insert(name, 1);
    }
    for node in &nodes {
        let asked = ListVariablesRequest {
            session_id: "s".into(),
            ..Default::default()
        };
        let told = node
            .bridge
            .clone()
            .list_variables(asked)
            .await
            .unwrap()
            .into_inner();
        let now: BTreeMap<_, _> = told
            .variables
            .into_iter()
            .map(|each| (each.name, each.version))
            .collect();
        assert_eq!(now, before, "node {}", node.node);
    }
    cluster.verify().await;
}
