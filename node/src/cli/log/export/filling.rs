//! A file that is being filled with events, and goes on where an earlier try ended.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use snakepit_client::{GetCheckpointResponse, StoredEvent};
use snakepit_machine::json;
use snakepit_storage::tree::{Frontier, Hash, leaf_hash};

use super::super::super::error::CliError;
use super::super::super::output::hex;
use super::super::view;
use super::{Form, Line, spool};

/// How one event stands in the file.
#[derive(Clone, Debug)]
pub(super) enum Record {
    /// As a line of an export of the log of that origin.
    Line(Form, String),
    /// As it is stored, to be put into another form once all are there.
    Stored,
}

/// The file.
pub(super) struct Filling {
    record: Record,
    out: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
    /// Position of its last event; one less than the first where there is none.
    last: u64,
    chain_hash: Vec<u8>,
    tree: Frontier,
}

/// What was written.
pub(super) struct Filled {
    pub(super) last: u64,
    pub(super) chain_hash: Vec<u8>,
    pub(super) root: Hash,
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

impl Record {
    /// The next whole record and its bytes.
    fn next(&self, from: &mut impl BufRead) -> io::Result<Option<(StoredEvent, Vec<u8>)>> {
        let Self::Line(form, _) = self else {
            return spool::next(from);
        };
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        Ok(taken(*form, &line).map(|stored| (stored, line)))
    }

    fn bytes(&self, stored: &StoredEvent) -> Result<Vec<u8>, CliError> {
        let Self::Line(form, origin) = self else {
            return Ok(spool::record(stored));
        };
        let event = view::decode_whole(stored)?;
        let line = Line {
            form: *form,
            origin,
            event: &event,
            stored: Some(stored),
        };
        let mut text = serde_json::to_vec(&line).map_err(CliError::failed)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// What a whole line holds.
fn taken(form: Form, line: &[u8]) -> Option<StoredEvent> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let line = json::read(line).ok()?;
    let position = match form {
        Form::Cloudevents => &line["data"]["position"],
        Form::Jsonl | Form::Parquet => &line["position"],
    };
    let (hash, bytes) = form.names();
    let hash = blake3::Hash::from_hex(line[hash].as_str()?).ok()?;
    Some(StoredEvent {
        position: position.as_u64()?,
        event: STANDARD.decode(line[bytes].as_str()?).ok()?.into(),
        hash: hash.as_bytes().to_vec().into(),
    })
}

impl Filling {
    /// Take up a file that an earlier try has begun, up to its last whole record, or begin a new one; `before`
    /// is the tree in front of the first event.
    pub(super) fn begin(
        path: &Path,
        record: Record,
        first: u64,
        before: &GetCheckpointResponse,
    ) -> Result<Self, CliError> {
        let failed = |verb: &'static str| CliError::file(verb, path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed("open"))?;
        let size = file.metadata().map_err(failed("read"))?.len();
        let peaks = before.peaks.iter();
        let peaks = peaks.filter_map(|peak| peak.as_ref().try_into().ok());
        let mut tree = Frontier::of(first - 1, peaks.collect())
            .ok_or_else(|| CliError::failed("the node's frontier does not fit its size"))?;
        let mut sha256 = Sha256::new();
        let (mut bytes, mut last) = (0, first - 1);
        let mut chain_hash = before.chain_hash.to_vec();
        let mut from = BufReader::new(&file);
        while let Some((stored, own)) = record.next(&mut from).map_err(failed("read"))? {
            if stored.position != last + 1 {
                break;
            }
            sha256.update(&own);
            bytes += own.len() as u64;
            last = stored.position;
            tree.push(leaf_hash(&stored.event), |_, _| {});
            chain_hash = stored.hash.to_vec();
        }
        if last < first && size > 0 {
            return Err(CliError::usage(format!(
                "{} holds something else; hint: give another file, or remove it",
                path.display()
            )));
        }
        file.set_len(bytes).map_err(failed("shorten"))?;
        file.seek(SeekFrom::End(0)).map_err(failed("write"))?;
        Ok(Self {
            record,
            out: BufWriter::new(file),
            sha256,
            bytes,
            last,
            chain_hash,
            tree,
        })
    }

    /// Position of the last event that is there; one less than the first where none is.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Put the next event.
    pub(super) fn add(&mut self, path: &Path, stored: &StoredEvent) -> Result<(), CliError> {
        if stored.position != self.last + 1 {
            return Err(CliError::failed(format!(
                "event {} is missing: the node sent {}",
                self.last + 1,
                stored.position
            )));
        }
        let bytes = self.record.bytes(stored)?;
        self.out
            .write_all(&bytes)
            .map_err(CliError::file("write", path))?;
        self.sha256.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.last = stored.position;
        self.chain_hash = stored.hash.to_vec();
        self.tree.push(leaf_hash(&stored.event), |_, _| {});
        Ok(())
    }

    /// Write the file out, where what was written is what the head of the tree says.
    pub(super) fn finish(
        self,
        path: &Path,
        head: &GetCheckpointResponse,
    ) -> Result<Filled, CliError> {
        let file = self.out.into_inner().map_err(|error| error.into_error());
        file.and_then(|file| file.sync_all())
            .map_err(CliError::file("write", path))?;
        let root = self.tree.root();
        if self.last != head.size || root[..] != head.root[..] || self.chain_hash != head.chain_hash
        {
            return Err(CliError::failed(format!(
                "the events do not give the root of the tree of {}, but {}",
                head.size,
                hex(&root)
            ))
            .hint("the node is damaged, or the file was changed; run `snakepit log verify`"));
        }
        Ok(Filled {
            last: self.last,
            chain_hash: self.chain_hash,
            root,
            bytes: self.bytes,
            sha256: self.sha256.finalize().into(),
        })
    }
}
