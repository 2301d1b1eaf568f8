//! JSON text as a tree, whatever its keys are called.
//!
//! serde_json keeps the digits of numbers by passing them around as objects with a key of its own, and takes a
//! client's object with that key for a number. Only strings and numbers, of which it reads one at a time, are
//! left to it here.

use serde_json::{Map, Number, Value};

/// Arrays and objects that are open at once, at most.
pub const DEPTH_MAX: usize = 127;

/// Text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct NotJson {
    what: String,
    at: usize,
}

/// Read a document, with nothing but white space around it. Of a key that stands twice in an object the last
/// one counts.
///
/// # Errors
///
/// Where it is none, has half of a surrogate pair in a string, or is deeper than [`DEPTH_MAX`].
pub fn read(text: &str) -> Result<Value, NotJson> {
    Reader::new(text, false).document()
}

/// The same, of which each key stands once in its object.
///
/// # Errors
///
/// As [`read`], and where a key stands twice.
pub fn read_unique(text: &str) -> Result<Value, NotJson> {
    Reader::new(text, true).document()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    unique: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, unique: bool) -> Self {
        Self {
            text,
            at: 0,
            unique,
        }
    }

    fn document(mut self) -> Result<Value, NotJson> {
        let value = self.value(0)?;
        match self.next_byte() {
            None => Ok(value),
            Some(_) => Err(self.wrong("the document goes on behind its end")),
        }
    }

    /// A value inside of `depth` others.
    fn value(&mut self, depth: usize) -> Result<Value, NotJson> {
        match self.next_byte() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => {
                Err(self.wrong(format!("more than {DEPTH_MAX} levels")))
            }
            Some(b'{') => self.object(depth + 1).map(Value::Object),
            Some(b'[') => self.array(depth + 1).map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(_) => self.word(),
            None => Err(self.wrong("the document ends too early")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>, NotJson> {
        let mut object = Map::new();
        self.at += 1;
        if self.takes(b'}') {
            return Ok(object);
        }
        loop {
            if self.next_byte() != Some(b'"') {
                return Err(self.wrong("a key is missing"));
            }
            let begin = self.at;
            let key = self.string()?;
            if !self.takes(b':') {
                return Err(self.wrong("`:` is missing"));
            }
            let value = self.value(depth)?;
            if self.unique && object.contains_key(&key) {
                self.at = begin;
                return Err(self.wrong("a key that its object has already"));
            }
            object.insert(key, value);
            if self.takes(b'}') {
                return Ok(object);
            }
            if !self.takes(b',') {
                return Err(self.wrong("`,` or `}` is missing"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, NotJson> {
        let mut array = Vec::new();
        self.at += 1;
        if self.takes(b']') {
            return Ok(array);
        }
        loop {
            array.push(self.value(depth)?);
            if self.takes(b']') {
                return Ok(array);
            }
            if !self.takes(b',') {
                return Err(self.wrong("`,` or `]` is missing"));
            }
        }
    }

    fn string(&mut self) -> Result<String, NotJson> {
        let (inside, mut plain) = (self.at + 1, true);
        let mut bytes = self.text.as_bytes()[inside..].iter();
        let mut length = 0;
        loop {
            match bytes.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    bytes.next();
                    length += 2;
                }
                Some(byte) => {
                    plain &= *byte >= b' ';
                    length += 1;
                }
                None => return Err(self.wrong("a string does not end")),
            }
        }
        let end = inside + length;
        let string = if plain {
            self.text[inside..end].to_owned()
        } else {
            let read = serde_json::from_str(&self.text[self.at..=end]);
            read.map_err(|error| self.wrong(reason(&error)))?
        };
        self.at = end + 1;
        Ok(string)
    }

    fn number(&mut self) -> Result<Number, NotJson> {
        let left = &self.text[self.at..];
        let length = left
            .bytes()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .count();
        let number = left[..length].parse();
        let number = number.map_err(|error| self.wrong(reason(&error)))?;
        self.at += length;
        Ok(number)
    }

    fn word(&mut self) -> Result<Value, NotJson> {
        let words = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ];
        let left = &self.text[self.at..];
        match words.into_iter().find(|(word, _)| left.starts_with(word)) {
            Some((word, value)) => {
                self.at += word.len();
                Ok(value)
            }
            None => Err(self.wrong("a value is missing")),
        }
    }

    /// Go over that byte, if it comes next.
    fn takes(&mut self, wanted: u8) -> bool {
        let is_next = self.next_byte() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// The next byte that is no white space.
    fn next_byte(&mut self) -> Option<u8> {
        let left = &self.text.as_bytes()[self.at..];
        let blanks = left
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += blanks;
        left.get(blanks).copied()
    }

    fn wrong(&self, what: impl Into<String>) -> NotJson {
        NotJson {
            what: what.into(),
            at: self.at,
        }
    }
}

/// What serde_json says of a part, without the place in it.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
