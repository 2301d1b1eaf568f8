//! How arguments are read: durations, `key=value` pairs, values.

use std::time::Duration;

use serde_json::Value as Json;
use snakepit_client::bytes_to_json;
use snakepit_machine::json;

/// Units of durations, the longest first.
const UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// `500ms`, `30s`, `1h30m`, `2d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration, write it like 500ms, 30s, 1h30m or 2d");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text.trim();
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(bad)?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let (_, unit_ms) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?;
        let number: f64 = number.parse().map_err(|_| bad())?;
        let part = Duration::try_from_secs_f64(number * *unit_ms as f64 / 1_000.0);
        whole = whole
            .checked_add(part.map_err(|_| bad())?)
            .ok_or_else(bad)?;
        rest = behind.trim_start();
    }
    if text.trim().is_empty() {
        Err(bad())
    } else {
        Ok(whole)
    }
}

/// Milliseconds as people say them: `1h30m`, `2.5s`, `40ms`.
pub(crate) fn human_ms(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    if ms < 60_000 {
        let tenths = ms / 100;
        let (whole, tenth) = (tenths / 10, tenths % 10);
        return if tenth == 0 {
            format!("{whole}s")
        } else {
            format!("{whole}.{tenth}s")
        };
    }
    let mut rest = ms;
    let mut text = String::new();
    let mut parts = 0;
    for (name, unit_ms) in UNITS.iter().filter(|(_, unit_ms)| *unit_ms >= 1_000) {
        if rest >= *unit_ms && parts < 2 {
            text += &format!("{}{name}", rest / unit_ms);
            parts += 1;
        }
        rest %= unit_ms;
    }
    text
}

/// `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not of the form key=value")),
    }
}

/// `key=value` whose value is JSON, or else a string.
pub(crate) fn json_pair(text: &str) -> Result<(String, Json), String> {
    let (key, value) = pair(text)?;
    Ok((key, json_or_text(&value)))
}

/// JSON, or else a string.
pub(crate) fn json_or_text(text: &str) -> Json {
    json::read(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}

/// A value of a variable: JSON, or else text; always text where `type_name` is one whose values are texts.
/// The text's bytes where it is `bytes`, unless it is JSON that stands for others.
pub(crate) fn value(text: &str, type_name: Option<&str>) -> Json {
    match type_name {
        Some("string" | "choice" | "module") => Json::String(text.to_owned()),
        Some("bytes") => match json_or_text(text) {
            Json::Object(marked) => Json::Object(marked),
            _ => bytes_to_json(text.as_bytes()),
        },
        _ => json_or_text(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_read() {
        let ms = |text: &str| duration(text).map(|read| read.as_millis()).ok();
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("30"), Some(30_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1.5s"), Some(1_500));
        assert_eq!(ms("2d 1h"), Some(176_400_000));
        for bad in ["", "x", "5x", "s", "-1s", "1h-5m", "1..5s"] {
            assert_eq!(ms(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn durations_are_told() {
        let told: Vec<_> = [0, 40, 2_500, 30_000, 90_000, 5_400_000, 90_061_000]
            .map(human_ms)
            .into();
        assert_eq!(
            told,
            ["0ms", "40ms", "2.5s", "30s", "1m30s", "1h30m", "1d1h"]
        );
    }

    #[test]
    fn values_are_json_or_text() {
        assert_eq!(json_pair("a=1").unwrap(), ("a".into(), json!(1)));
        assert_eq!(json_pair("a=b=c").unwrap(), ("a".into(), json!("b=c")));
        assert_eq!(json_pair("a=[1]").unwrap(), ("a".into(), json!([1])));
        assert!(pair("=1").is_err() && pair("a").is_err());
        assert_eq!(value("1.5", None), json!(1.5));
        assert_eq!(value("[1]", None), json!([1]));
        assert_eq!(value("[1]", Some("string")), json!("[1]"));
        assert_eq!(value("1", Some("choice")), json!("1"));
        assert_eq!(value("\"x\"", None), json!("x"));
        assert_eq!(value("null", Some("null")), json!(null));
        let bytes = json!({"__snakepit_bytes__": "aGk="});
        assert_eq!(value("hi", Some("bytes")), bytes);
        assert_eq!(value(&bytes.to_string(), Some("bytes")), bytes);
    }
}
