//! `KEY=VALUE` of a pool's settings. Which keys there are, and what fits them, is known to the nodes alone.

use serde_json::{Map, Value as Json};

use super::super::arguments::pair;
use super::super::error::CliError;

/// A setting and its value; `None` takes it out, so that its default counts again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assignment {
    /// The setting, and the key in it where it is a table: `env.OMP_NUM_THREADS`.
    path: (String, Option<String>),
    value: Option<Json>,
}

/// `size=4`, `python="/opt/python"`, `tags=["a"]`, `env.A=1`, `venv=`: as in TOML, or else text.
pub(super) fn assignment(text: &str) -> Result<Assignment, String> {
    let (key, text) = pair(text)?;
    let path = match key.split_once('.') {
        Some((table, key)) if !table.is_empty() && !key.is_empty() => {
            (table.to_owned(), Some(key.to_owned()))
        }
        Some(_) => {
            return Err(format!(
                "{key:?} is no setting, write SETTING or SETTING.KEY"
            ));
        }
        None => (key, None),
    };
    let value = match path.0.as_str() {
        _ if text.is_empty() => None,
        // What is in these tables is text, whatever it looks like.
        "env" | "labels" | "placement" if path.1.is_some() => Some(Json::String(text)),
        _ => Some(as_in_toml(&text)),
    };
    Ok(Assignment { path, value })
}

fn as_in_toml(text: &str) -> Json {
    let read = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = read.ok().filter(|table| table.len() == 1);
    let value = value.and_then(|mut table| table.remove("value"));
    match value {
        // A date has no place in JSON.
        Some(toml::Value::Datetime(_)) | None => Json::String(text.to_owned()),
        Some(value) => {
            serde_json::to_value(value).unwrap_or_else(|_| Json::String(text.to_owned()))
        }
    }
}

/// Change settings.
pub(super) fn apply(
    settings: &mut Map<String, Json>,
    assignments: Vec<Assignment>,
) -> Result<(), CliError> {
    for Assignment { path, value } in assignments {
        let (setting, key) = path;
        let Some(key) = key else {
            put(settings, setting, value);
            continue;
        };
        let table = settings
            .entry(setting.clone())
            .or_insert_with(|| Json::Object(Map::new()));
        if table.is_null() {
            *table = Json::Object(Map::new());
        }
        let Json::Object(table) = table else {
            let message = format!("{setting} is {table}, which has no {key}");
            return Err(CliError::usage(message).hint(format!("set {setting} as a whole")));
        };
        put(table, key, value);
    }
    Ok(())
}

fn put(table: &mut Map<String, Json>, key: String, value: Option<Json>) {
    match value {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_typed_as_in_toml() {
        let value = |text: &str| assignment(text).unwrap().value;
        assert_eq!(value("size=4"), Some(json!(4)));
        assert_eq!(value("size=1_000"), Some(json!(1000)));
        assert_eq!(value("x=0.5"), Some(json!(0.5)));
        assert_eq!(value("x=true"), Some(json!(true)));
        assert_eq!(value("x=[\"a\", 'b']"), Some(json!(["a", "b"])));
        assert_eq!(value("x={ a = 1 }"), Some(json!({"a": 1})));
        assert_eq!(value("journal=full"), Some(json!("full")));
        assert_eq!(value("x=\"4\""), Some(json!("4")));
        assert_eq!(value("x=a=b"), Some(json!("a=b")));
        assert_eq!(value("x=2024-01-01"), Some(json!("2024-01-01")));
        assert_eq!(value("x="), None);
        assert_eq!(value("env.A=1"), Some(json!("1")));
        assert_eq!(value("other.failures=1"), Some(json!(1)));
        for bad in ["x", "=1", ".a=1", "a.=1"] {
            assert!(assignment(bad).is_err(), "{bad}");
        }
        assert_eq!(value("x=1\ny=2"), Some(json!("1\ny=2")));
    }

    #[test]
    fn tables_keep_their_other_keys() {
        let Json::Object(mut settings) = json!({"size": 1, "venv": "v", "env": {"A": "1"}}) else {
            unreachable!()
        };
        let read = |text: &str| assignment(text).unwrap();
        let changes = ["size=2", "venv=", "env.B=x", "placement.gpu=true"].map(read);
        apply(&mut settings, changes.into()).unwrap();
        let expected =
            json!({"size": 2, "env": {"A": "1", "B": "x"}, "placement": {"gpu": "true"}});
        assert_eq!(Json::Object(settings.clone()), expected);
        assert!(apply(&mut settings, vec![read("size.x=1")]).is_err());
    }
}
