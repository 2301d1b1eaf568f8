//! A table whose rows come one by one: widths follow the first rows, and grow where a later one needs it.

use std::iter::repeat_n;

use super::super::error::CliError;
use super::super::output::line;

/// Rows from which the widths are taken.
const ROWS_SEEN_FIRST: usize = 200;

/// Rows, measured, all in one place.
#[derive(Debug)]
pub(crate) struct Rows<const N: usize> {
    text: String,
    /// Of each cell where it ends in the text, and how wide it is.
    cells: Vec<[(usize, usize); N]>,
}

impl<const N: usize> Default for Rows<N> {
    fn default() -> Self {
        Self {
            text: String::new(),
            cells: Vec::new(),
        }
    }
}

impl<const N: usize> Rows<N> {
    /// Add a row.
    pub fn push(&mut self, row: [String; N]) {
        self.cells.push(row.map(|cell| {
            self.text += &cell;
            (self.text.len(), width(&cell))
        }));
    }

    /// Each row's cells: text and width.
    fn iter(&self) -> impl Iterator<Item = [(&str, usize); N]> {
        let mut begin = 0;
        self.cells.iter().map(move |row| {
            row.map(|(end, width)| {
                let cell = &self.text[begin..end];
                begin = end;
                (cell, width)
            })
        })
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Columns<const N: usize> {
    headers: [&'static str; N],
    widths: Option<[usize; N]>,
    waiting: Vec<Rows<N>>,
    patient: bool,
}

impl<const N: usize> Columns<N> {
    /// A table whose first rows may wait for each other.
    pub fn new(headers: [&'static str; N]) -> Self {
        Self {
            headers,
            widths: None,
            waiting: Vec::new(),
            patient: true,
        }
    }

    /// Print a row, now or with the first ones.
    pub fn row(&mut self, row: [String; N]) -> Result<(), CliError> {
        let mut rows = Rows::default();
        rows.push(row);
        self.rows(rows)
    }

    /// Print rows, now or with the first ones.
    pub fn rows(&mut self, rows: Rows<N>) -> Result<(), CliError> {
        self.waiting.push(rows);
        let waiting: usize = self.waiting.iter().map(|rows| rows.cells.len()).sum();
        if self.patient && waiting < ROWS_SEEN_FIRST {
            Ok(())
        } else {
            self.flush()
        }
    }

    /// Print what waits, and let no later row wait.
    pub fn flush(&mut self) -> Result<(), CliError> {
        let text = self.take();
        if text.is_empty() { Ok(()) } else { line(&text) }
    }

    fn take(&mut self) -> String {
        self.patient = false;
        let mut text = String::new();
        let rows = std::mem::take(&mut self.waiting);
        let begins = self.widths.is_none();
        let mut widths = self.widths.unwrap_or_else(|| self.headers.map(width));
        for row in rows.iter().flat_map(|rows| &rows.cells) {
            for (widest, (_, width)) in widths.iter_mut().zip(row) {
                *widest = (*width).max(*widest);
            }
        }
        if begins {
            let headers = self.headers.map(str::to_uppercase);
            let headers = headers.each_ref().map(|text| (text.as_str(), width(text)));
            add_line(&mut text, headers, &widths);
        }
        self.widths = Some(widths);
        for row in rows.iter().flat_map(Rows::iter) {
            add_line(&mut text, row, &widths);
        }
        // Whoever prints it ends the last line.
        text.pop();
        text
    }
}

/// The first column holds numbers and stands at the right.
fn add_line<const N: usize>(text: &mut String, row: [(&str, usize); N], widths: &[usize; N]) {
    for (column, ((cell, width), wanted)) in row.into_iter().zip(widths).enumerate() {
        let blanks = repeat_n(' ', wanted.saturating_sub(width));
        if column == 0 {
            text.extend(blanks);
            text.push_str(cell);
        } else {
            text.push_str("  ");
            text.push_str(cell);
            text.extend(blanks);
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_each_other_and_grow() {
        let mut columns = Columns::new(["n", "name", "z"]);
        let mut rows = Rows::default();
        rows.push(["1".into(), "a".into(), "x".into()]);
        rows.push(["10".into(), "äbcdef".into(), String::new()]);
        columns.waiting.push(rows);
        assert_eq!(columns.take(), " N  NAME    Z\n 1  a       x\n10  äbcdef");
        let mut rows = Rows::default();
        rows.push(["1000".into(), "b".into(), "y".into()]);
        columns.waiting.push(rows);
        assert_eq!(columns.take(), "1000  b       y");
    }
}
