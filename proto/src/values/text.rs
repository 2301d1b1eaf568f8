//! JSON text that is kept as it is: checked, not rebuilt.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::{BadValue, DEPTH_MAX};

/// Whether bytes are JSON.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// A map or list as text that any JSON parser reads: the bare NaN and infinities of Python's json are marked,
/// as `docs/values.md` says.
pub(super) fn checked<'a>(name: &str, text: &'a str) -> Result<Cow<'a, str>, BadValue> {
    let depth = depth(text);
    if depth > DEPTH_MAX {
        return Err(BadValue(format!(
            "the value of type {name} is nested {depth} deep, the limit is {DEPTH_MAX}; hint: flatten it"
        )));
    }
    let first = match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => return without_halves(name, text).map(|()| Cow::Borrowed(text)),
        Err(error) => error,
    };
    let marked = marked(text);
    match serde_json::from_str::<IgnoredAny>(&marked) {
        Ok(_) => without_halves(name, &marked).map(|()| Cow::Owned(marked)),
        Err(_) => Err(BadValue(format!(
            "the value of type {name} is not JSON: {first}; hint: send JSON text"
        ))),
    }
}

/// Refuse JSON with half of a surrogate pair in a string: some readers take it for a character, others refuse
/// the whole text.
fn without_halves(name: &str, text: &str) -> Result<(), BadValue> {
    // All others have none, and most texts have no such escape at all.
    if !text.contains("\\u") {
        return Ok(());
    }
    let half = Outside::new(text).find_map(|part| match part {
        // Nothing else can be wrong with it: the text is JSON.
        Part::Inside(string) if serde_json::from_str::<String>(string).is_err() => Some(string),
        _ => None,
    });
    match half {
        None => Ok(()),
        Some(string) => Err(BadValue(format!(
            "the value of type {name} has half of a surrogate pair in the string {}, which is no character; \
             hint: send both halves, or bytes",
            cut(string)
        ))),
    }
}

/// Enough of a string to find it by.
fn cut(string: &str) -> String {
    const CHARS_MAX: usize = 40;
    match string.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &string[..at]),
        None => string.to_owned(),
    }
}

/// Brackets open at once, outside of strings.
fn depth(text: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for part in Outside::new(text) {
        if let Part::Outside(part) = part {
            for byte in part.bytes() {
                match byte {
                    b'{' | b'[' => {
                        open += 1;
                        most = most.max(open);
                    }
                    b'}' | b']' => open = open.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }
    most
}

fn marked(text: &str) -> String {
    let mut marked = String::with_capacity(text.len() + 64);
    for part in Outside::new(text) {
        match part {
            Part::Inside(part) => marked.push_str(part),
            Part::Outside(part) => {
                let mut left = part;
                while let Some((before, word)) = first_special(left) {
                    marked.push_str(before);
                    marked.push_str("{\"__snakepit_float__\":\"");
                    marked.push_str(word);
                    marked.push_str("\"}");
                    left = &left[before.len() + word.len()..];
                }
                marked.push_str(left);
            }
        }
    }
    marked
}

/// What stands before the first special number, and that.
fn first_special(text: &str) -> Option<(&str, &str)> {
    ["-Infinity", "Infinity", "NaN"]
        .into_iter()
        .filter_map(|word| {
            text.find(word)
                .map(|at| (&text[..at], &text[at..at + word.len()]))
        })
        .min_by_key(|(before, word)| (before.len(), std::cmp::Reverse(word.len())))
}

enum Part<'a> {
    Outside(&'a str),
    Inside(&'a str),
}

/// Text in turns outside and inside of strings, their quotes with what is inside.
struct Outside<'a> {
    left: &'a str,
    inside: bool,
}

impl<'a> Outside<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            left: text,
            inside: false,
        }
    }
}

impl<'a> Iterator for Outside<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.left.is_empty() {
            return None;
        }
        let end = if self.inside {
            end_of_string(self.left)
        } else {
            self.left.find('"').unwrap_or(self.left.len())
        };
        let (part, left) = self.left.split_at(end);
        self.left = left;
        self.inside = !self.inside;
        Some(if self.inside {
            Part::Outside(part)
        } else {
            Part::Inside(part)
        })
    }
}

/// Behind the closing quote of the string that the text begins with.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
