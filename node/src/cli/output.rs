//! Standard output and standard error: tables and JSON on the one, all else on the other.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell as TableCell, CellAlignment, Color, Table, presets};
use serde::Serialize;

use super::error::CliError;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What a cell means, which may colour it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Number,
    Good,
    Bad,
    Dim,
}

/// One cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    /// A number, which stands at the right.
    pub fn number(number: impl ToString) -> Self {
        Self::toned(number.to_string(), Tone::Number)
    }

    /// Text that means something.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// A dash, for what is not known or not there.
    pub fn none() -> Self {
        Self::toned("-", Tone::Dim)
    }
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// How they are printed.
    pub format: Format,
    styled: bool,
}

impl Output {
    /// Coloured on a terminal, unless NO_COLOR is set.
    pub fn new(format: Format) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            styled: io::stdout().is_terminal() && !plain,
        }
    }

    /// Whether JSON is wanted.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// A table, or the same as JSON.
    pub fn table(
        self,
        headers: &[&str],
        rows: Vec<Vec<Cell>>,
        json: &impl Serialize,
    ) -> Result<(), CliError> {
        if self.is_json() {
            self.json(json)
        } else {
            line(&render(headers, rows, self.styled))
        }
    }

    /// Names and values below each other, or the same as JSON.
    pub fn record(self, fields: Vec<(&str, Cell)>, json: &impl Serialize) -> Result<(), CliError> {
        if self.is_json() {
            return self.json(json);
        }
        let rows = fields.into_iter().map(|(name, cell)| {
            let tone = if cell.tone == Tone::Number {
                Tone::Plain
            } else {
                cell.tone
            };
            vec![Cell::toned(name, Tone::Dim), Cell { tone, ..cell }]
        });
        line(&render(&[], rows.collect(), self.styled))
    }

    /// JSON over several lines.
    pub fn json(self, value: &impl Serialize) -> Result<(), CliError> {
        line(&serde_json::to_string_pretty(value).map_err(CliError::failed)?)
    }

    /// JSON on one line.
    pub fn json_line(self, value: &impl Serialize) -> Result<(), CliError> {
        line(&serde_json::to_string(value).map_err(CliError::failed)?)
    }

    /// One thing that was done, in a sentence, or as JSON.
    pub fn done(self, sentence: &str, json: &impl Serialize) -> Result<(), CliError> {
        if self.is_json() {
            self.json(json)
        } else {
            line(sentence)
        }
    }
}

/// One line or several on standard output.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Bytes on standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// One line or several on standard error, for people.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn render(headers: &[&str], rows: Vec<Vec<Cell>>, styled: bool) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if styled {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    if !headers.is_empty() {
        table.set_header(
            headers
                .iter()
                .map(|header| TableCell::new(header.to_uppercase()).add_attribute(Attribute::Dim)),
        );
    }
    // A column with a number in it stands at the right, dashes and header included.
    let is_number = |column: usize| {
        rows.iter().any(|row| {
            row.get(column)
                .is_some_and(|cell| cell.tone == Tone::Number)
        })
    };
    let columns = rows.first().map_or(headers.len(), Vec::len);
    let numbers: Vec<bool> = (0..columns).map(is_number).collect();
    for row in rows {
        table.add_row(row.into_iter().map(styled_cell));
    }
    for (column, is_number) in table.column_iter_mut().zip(numbers) {
        column.set_padding((0, 2));
        if is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn styled_cell(cell: Cell) -> TableCell {
    let styled = TableCell::new(cell.text);
    match cell.tone {
        Tone::Plain | Tone::Number => styled,
        Tone::Good => styled.fg(Color::Green),
        Tone::Bad => styled.fg(Color::Red).add_attribute(Attribute::Bold),
        Tone::Dim => styled.add_attribute(Attribute::Dim),
    }
}

/// The first bytes of a hash, as people compare them.
pub(crate) fn short_hash(hash: &[u8]) -> String {
    hex(&hash[..hash.len().min(6)])
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(digits.map(|digit| char::from(DIGITS[usize::from(digit)])));
    text
}

/// Milliseconds since 1970 as a date and time in UTC; empty for 0.
pub(crate) fn time(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) if ms > 0 => format!("{time:.3}"),
        _ => String::new(),
    }
}

/// `key=value` of each, and blanks in between.
pub(crate) fn pairs(of: &BTreeMap<String, String>) -> String {
    let each = of.iter().map(|(key, value)| format!("{key}={value}"));
    each.collect::<Vec<_>>().join(" ")
}

/// Text that may be empty, as a cell.
pub(crate) fn text_or_none(text: &str) -> Cell {
    if text.is_empty() {
        Cell::none()
    } else {
        Cell::text(text)
    }
}

/// Text cut to a number of characters.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    let begins = |char: usize| text.char_indices().nth(char).map(|(at, _)| at);
    match begins(chars_max).and_then(|_| begins(chars_max.saturating_sub(1))) {
        None => text.to_owned(),
        Some(end) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_plain_when_they_are_piped() {
        let rows = vec![
            vec![
                Cell::number(1),
                Cell::toned("leader", Tone::Good),
                Cell::text("127.0.0.1:7001"),
            ],
            vec![
                Cell::number(12),
                Cell::toned("down", Tone::Bad),
                Cell::none(),
            ],
        ];
        let told = render(&["node", "role", "address"], rows, false);
        assert_eq!(
            told,
            "NODE  ROLE    ADDRESS\n   1  leader  127.0.0.1:7001\n  12  down    -"
        );
    }

    #[test]
    fn empty_tables_have_headers() {
        assert_eq!(render(&["node", "role"], Vec::new(), false), "NODE  ROLE");
    }

    #[test]
    fn tables_have_colours_on_a_terminal() {
        let rows = vec![vec![Cell::toned("leader", Tone::Good)]];
        assert!(render(&["role"], rows, true).contains("\u{1b}["));
    }

    #[test]
    fn hashes_times_and_cuts() {
        assert_eq!(short_hash(&[0xab; 32]), "abababababab");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(0), "");
        assert_eq!(
            (cut("abc", 3), cut("abcd", 3)),
            ("abc".into(), "ab…".into())
        );
    }
}
