//! Stored bytes, as delimited protobuf messages.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use futures_util::StreamExt as _;

use super::super::super::error::CliError;
use super::super::super::output::note;
use super::super::source::Events;
use super::spool;

pub(super) async fn run(mut events: Events, path: &Path) -> Result<(), CliError> {
    let file = File::create(path).map_err(CliError::file("make", path))?;
    let mut out = BufWriter::new(file);
    let mut count = 0_u64;
    while let Some(stored) = events.next().await {
        let bytes = spool::record(&stored?);
        out.write_all(&bytes)
            .map_err(CliError::file("write", path))?;
        count += 1;
    }
    let file = out.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all())
        .map_err(CliError::file("write", path))?;
    note(&format!("wrote {count} events to {}", path.display()));
    Ok(())
}
