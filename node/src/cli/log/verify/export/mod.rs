//! An export, checked as docs/evidence-format.md says under "To check an export". Its twin that shares no code with the
//! nodes is `python -m snakepit.verify`.

mod batches;
mod claims;
mod difference;
mod fault;
mod pass;
mod shown;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use self::batches::{Lines, Table, hashed};
use self::claims::Claims;
use self::fault::Fault;
use self::pass::{Verified, verify};
use super::super::super::error::{CliError, FAILED};
use super::super::super::globals::Context;
use super::super::super::output::{Cell, Tone, hex, short_hash};
use super::super::export::{Form, Manifest};
use crate::evidence::checkpoint::VerifyingKey;

/// Bytes of a note or a manifest: more is none.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file that are read at once.
const READ_BYTES: usize = 1 << 18;

pub(super) fn run(
    context: &Context,
    path: &Path,
    checkpoint: Option<&Path>,
    key: Option<&VerifyingKey>,
) -> Result<(), CliError> {
    let manifest = small(&Manifest::path(path))?;
    let note = match checkpoint {
        Some(path) => {
            let note = String::from_utf8(small(path)?);
            Some(note.map_err(|_| CliError::failed("the checkpoint is not UTF-8"))?)
        }
        None => None,
    };
    let file = File::open(path).map_err(unreadable(path))?;
    let checked = Claims::read(&manifest).and_then(|claims| {
        let verified = check(file, &claims, key, note.as_deref())?;
        Ok((claims, verified))
    });
    match checked {
        Ok((claims, verified)) => tell(context, &claims, &verified),
        Err(fault) if context.output.is_json() => {
            let told = json!({ "verified": false, "error": fault.message, "hint": fault.hint });
            context.output.json(&told)?;
            Err(CliError::said(FAILED))
        }
        Err(fault) => Err(fault.into()),
    }
}

fn check(
    file: File,
    claims: &Claims,
    key: Option<&VerifyingKey>,
    checkpoint: Option<&str>,
) -> Result<Verified, Fault> {
    let mut from = BufReader::with_capacity(READ_BYTES, file);
    if claims.form != Form::Parquet {
        return verify(Lines::new(from), claims, key, checkpoint);
    }
    let contents = hashed(&mut from)?;
    // What stops the reader of Parquet is told as a fault.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let table = Table::new(from.into_inner(), contents);
    let verified = table.and_then(|table| verify(table, claims, key, checkpoint));
    std::panic::set_hook(told);
    verified
}

/// Nothing is said of an export that could not be looked at.
fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    move |error| {
        CliError::usage(format!(
            "cannot read {}: {error}; hint: name an export, with its manifest beside it",
            path.display()
        ))
    }
}

fn small(path: &Path) -> Result<Vec<u8>, CliError> {
    let file = File::open(path).map_err(unreadable(path))?;
    let mut bytes = Vec::new();
    file.take(SMALL_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable(path))?;
    if bytes.len() as u64 > SMALL_BYTES_MAX {
        return Err(CliError::failed(format!(
            "{} has more than {SMALL_BYTES_MAX} bytes; hint: name the file as you were given it",
            path.display()
        )));
    }
    Ok(bytes)
}

fn tell(context: &Context, claims: &Claims, verified: &Verified) -> Result<(), CliError> {
    let (first, last) = (claims.first, claims.last);
    let count = last - (first - 1);
    let compared: Vec<_> = verified
        .compared
        .iter()
        .map(|(what, size)| json!({ "what": what, "size": size }))
        .collect();
    let signed_by = verified.signed.as_ref().map(|(name, _)| name);
    let signed_to = verified.signed.as_ref().map_or(0, |(_, to)| *to);
    let json = json!({
        "verified": true,
        "origin": claims.origin,
        "form": claims.form.name(),
        "events": count,
        "first": first,
        "last": last,
        "root": STANDARD.encode(claims.root),
        "hash": hex(&claims.last_hash),
        "compared": compared,
        "signed_by": signed_by,
        "signed_to": signed_to,
    });
    let mut lines = vec![
        ("log", Cell::text(&claims.origin)),
        ("events", Cell::number(count)),
        ("positions", Cell::text(format!("{first} to {last}"))),
        ("root", Cell::text(STANDARD.encode(claims.root))),
    ];
    if !verified.compared.is_empty() {
        let compared = verified.compared.iter();
        let compared: Vec<_> = compared
            .map(|(what, size)| format!("{what} of size {size}"))
            .collect();
        lines.push(("compared", Cell::text(compared.join(", "))));
    }
    if first > 1 {
        // The tree says what was logged before; the chain's hashes are in no checkpoint.
        let hash = short_hash(&claims.previous_hash);
        let told = format!("goes on from {hash}, which is not signed");
        lines.push(("chain", Cell::text(told)));
    }
    let (by, verdict) = match &verified.signed {
        None => (
            Cell::text("nobody that was checked: no key was given"),
            Cell::text("intact, but anybody may have made it"),
        ),
        Some((name, to)) if *to < last => {
            let begin = first.max(to + 1);
            let told = format!("verified up to {to}, nobody signed {begin} to {last}");
            (Cell::text(name), Cell::text(told))
        }
        Some((name, _)) => (Cell::text(name), Cell::toned("verified", Tone::Good)),
    };
    lines.extend([("signed by", by), ("verdict", verdict)]);
    context.output.record(lines, &json)
}

#[cfg(test)]
mod tests;
