//! `snakepit call --stream`: chunks as they come.

use std::io::IsTerminal as _;
use std::pin::pin;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use snakepit_client::{CallRequest, Chunk, bytes_to_json};

use super::super::error::{CliError, FAILED};
use super::super::globals::Context;
use super::super::output::note;

/// One line for each chunk: all there is to know of it with `-o json`, otherwise what it holds, over several
/// lines on a terminal.
pub(super) async fn run(
    context: &Context,
    request: CallRequest,
    verbose: bool,
) -> Result<(), CliError> {
    let pretty = std::io::stdout().is_terminal();
    let mut chunks = context.client()?.call_stream(request);
    let mut stop = pin!(tokio::signal::ctrl_c());
    let (mut count, mut next) = (0_u64, None);
    let ended = loop {
        let chunk = tokio::select! {
            _ = &mut stop => break Err(CliError::said(FAILED)),
            chunk = chunks.next() => chunk,
        };
        match chunk {
            None => break Ok(()),
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(chunk)) => {
                count += 1;
                print(context, &chunk, pretty)?;
                if !chunk.call_id.is_empty() {
                    next = Some((chunk.call_id, chunk.number + 1));
                }
            }
        }
    };
    match next {
        Some((call_id, number)) if ended.is_err() => {
            note(&format!(
                "it can go on with --resume {call_id} --from {number}, if its journal is full and it is idempotent"
            ));
        }
        Some((call_id, _)) if verbose => note(&format!("call {call_id} gave {count} chunks")),
        None if verbose && ended.is_ok() => note(&format!("the call gave {count} chunks")),
        _ => {}
    }
    ended
}

fn print(context: &Context, chunk: &Chunk, pretty: bool) -> Result<(), CliError> {
    let output = context.output;
    if output.is_json() {
        output.json_line(&as_json(chunk))
    } else if pretty {
        output.json(&value(chunk))
    } else {
        output.json_line(&value(chunk))
    }
}

/// JSON, or else text, or else bytes.
fn value(chunk: &Chunk) -> Json {
    let text = || std::str::from_utf8(&chunk.data).ok().map(Json::from);
    chunk
        .json()
        .or_else(text)
        .unwrap_or_else(|| bytes_to_json(&chunk.data))
}

fn as_json(chunk: &Chunk) -> Json {
    json!({
        "number": chunk.number,
        "call": chunk.call_id,
        "id": chunk.id,
        "value": value(chunk),
        "final": chunk.is_final,
        "metadata": chunk.metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_json_or_text_or_bytes() {
        let of = |data: &'static [u8]| {
            value(&Chunk {
                data: data.into(),
                ..Default::default()
            })
        };
        assert_eq!(of(b"{\"n\": 1}"), json!({"n": 1}));
        assert_eq!(of(b"n = 1"), json!("n = 1"));
        assert_eq!(of(&[255]), json!({"__snakepit_bytes__": "/w=="}));
    }
}
