//! An export to a file: streamed, with a bar, resumed where an earlier try ended, and sealed by a manifest.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use snakepit_client::GetCheckpointResponse;
use snakepit_storage::StateStore;
use snakepit_storage::tree::{Frontier, leaf_hash};

use super::super::super::error::CliError;
use super::super::super::globals::Context;
use super::super::super::output::hex;
use super::super::{source, view};
use super::manifest::{FORMAT, Manifest};
use super::{Form, forms};
use crate::evidence::checkpoint::origin;

/// Where heads of the tree come from.
enum Heads {
    Cluster(snakepit_client::Client),
    Dir(Box<StateStore>, String),
}

impl Heads {
    async fn at(&self, size: u64) -> Result<GetCheckpointResponse, CliError> {
        match self {
            Self::Cluster(client) => Ok(client.checkpoint(size).await?),
            Self::Dir(state, cluster_id) => {
                let of = || {
                    let size = if size == 0 {
                        state.head().position
                    } else {
                        size
                    };
                    let peaks = state.tree_peaks(size)?;
                    let chain = if size == 0 {
                        [0; 32]
                    } else {
                        state.event(size)?.hash
                    };
                    Ok::<_, std::io::Error>(GetCheckpointResponse {
                        origin: origin(cluster_id),
                        size,
                        root: state.tree_root(size)?.to_vec().into(),
                        peaks: peaks.iter().map(|hash| hash.to_vec().into()).collect(),
                        chain_hash: chain.to_vec().into(),
                        ..Default::default()
                    })
                };
                of().map_err(CliError::failed)
            }
        }
    }
}

/// A file that is being filled.
struct Filling {
    out: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
    /// Position of its last event; one less than the first where there is none.
    last: u64,
    chain_hash: Vec<u8>,
    tree: Frontier,
}

pub(super) async fn run(
    context: &Context,
    args: &source::Selection,
    form: Form,
    path: &Path,
) -> Result<(), CliError> {
    let query = args.query()?;
    if !query.session.is_empty() || query.filter != Default::default() {
        return Err(CliError::usage(
            "a file with a manifest holds all events of a range; hint: leave out filters, or write lines to standard output",
        ));
    }
    let cluster_id = forms::cluster_id(context, args).await?;
    let heads = match &args.dir {
        None => Heads::Cluster(context.client()?),
        Some(dir) => {
            let state = source::open(&source::data_dirs(dir)?.swap_remove(0))?;
            Heads::Dir(Box::new(state), cluster_id.clone())
        }
    };
    let first = query.from;
    let mut end = heads.at(0).await?.size;
    if query.to > 0 {
        end = end.min(query.to);
    }
    if query.limit > 0 {
        end = end.min(first.saturating_add(query.limit - 1));
    }
    if first > end {
        return Err(CliError::usage(format!(
            "the range begins at {first} and ends at {end}; hint: give positions that the log has"
        )));
    }
    let before = match first {
        1 => GetCheckpointResponse {
            chain_hash: vec![0; 32].into(),
            ..Default::default()
        },
        _ => heads.at(first - 1).await?,
    };
    let mut filling = begin(path, form, first, &before)?;
    let bar = ProgressBar::new(end + 1 - first);
    if context.output.is_json() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_position(filling.last + 1 - first);
    if filling.last < end {
        let mut rest = args.clone();
        (rest.from, rest.to, rest.limit) = (filling.last + 1, end, 0);
        let mut events = match &heads {
            Heads::Cluster(client) => source::online(client.read_events(rest.query()?)),
            Heads::Dir(state, _) => source::offline((**state).clone(), rest.query()?),
        };
        while let Some(stored) = events.next().await {
            let stored = stored?;
            let event = view::decode(&stored)?;
            let line = forms::line(form, &cluster_id, &event, &stored);
            filling.add(path, &line, &stored)?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let head = heads.at(end).await?;
    let manifest = filling.seal(path, form, first, &before, &head)?;
    let sentence = format!(
        "{} events, {} to {}, were written to {}; root {}",
        manifest.count,
        manifest.first,
        manifest.last,
        path.display(),
        manifest.root
    );
    let json = json!({
        "file": path,
        "manifest": Manifest::path(path),
        "first": manifest.first,
        "last": manifest.last,
        "count": manifest.count,
        "root": manifest.root,
        "signed": !manifest.checkpoint.is_empty(),
    });
    context.output.done(&sentence, &json)
}

/// Take up a file that an earlier try has begun, up to its last whole line, or begin a new one.
fn begin(
    path: &Path,
    form: Form,
    first: u64,
    before: &GetCheckpointResponse,
) -> Result<Filling, CliError> {
    let failed = |verb: &'static str| CliError::file(verb, path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed("open"))?;
    let peaks = before
        .peaks
        .iter()
        .filter_map(|peak| peak.as_ref().try_into().ok());
    let tree = Frontier::of(first - 1, peaks.collect())
        .ok_or_else(|| CliError::failed("the node's frontier does not fit its size"))?;
    let mut sha256 = Sha256::new();
    let (mut bytes, mut last) = (0, first - 1);
    let mut chain_hash = before.chain_hash.to_vec();
    let mut tree = tree;
    let mut lines = BufReader::new(&file);
    let mut line = Vec::new();
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line).map_err(failed("read"))?;
        let Some((position, stored, hash)) = taken(form, &line) else {
            break;
        };
        if position != last + 1 {
            break;
        }
        sha256.update(&line);
        bytes += line.len() as u64;
        last = position;
        tree.push(leaf_hash(&stored), |_, _| {});
        chain_hash = hash;
    }
    if last < first && !line.is_empty() {
        return Err(CliError::usage(format!(
            "{} holds something else; hint: give another file, or remove it",
            path.display()
        )));
    }
    file.set_len(bytes).map_err(failed("shorten"))?;
    file.seek(SeekFrom::End(0)).map_err(failed("write"))?;
    Ok(Filling {
        out: BufWriter::new(file),
        sha256,
        bytes,
        last,
        chain_hash,
        tree,
    })
}

/// Position, stored bytes and hash of a whole line.
fn taken(form: Form, line: &[u8]) -> Option<(u64, Vec<u8>, Vec<u8>)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let line: Json = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    let (position, bytes, hash) = match form {
        Form::Jsonl => (line["position"].as_u64()?, &line["bytes"], &line["hash"]),
        Form::Cloudevents => (
            line["data"]["position"].as_u64()?,
            &line["snakepitbytes"],
            &line["snakepithash"],
        ),
    };
    let hash = blake3::Hash::from_hex(hash.as_str()?).ok()?;
    Some((
        position,
        STANDARD.decode(bytes.as_str()?).ok()?,
        hash.as_bytes().to_vec(),
    ))
}

impl Filling {
    fn add(
        &mut self,
        path: &Path,
        line: &Json,
        stored: &snakepit_client::StoredEvent,
    ) -> Result<(), CliError> {
        if stored.position != self.last + 1 {
            return Err(CliError::failed(format!(
                "event {} is missing: the node sent {}",
                self.last + 1,
                stored.position
            )));
        }
        let mut text = serde_json::to_vec(line).map_err(CliError::failed)?;
        text.push(b'\n');
        self.out
            .write_all(&text)
            .map_err(CliError::file("write", path))?;
        self.sha256.update(&text);
        self.bytes += text.len() as u64;
        self.last = stored.position;
        self.chain_hash = stored.hash.to_vec();
        self.tree.push(leaf_hash(&stored.event), |_, _| {});
        Ok(())
    }

    /// Write the file out and a manifest beside it, where what was written is what the head of the tree says.
    fn seal(
        self,
        path: &Path,
        form: Form,
        first: u64,
        before: &GetCheckpointResponse,
        head: &GetCheckpointResponse,
    ) -> Result<Manifest, CliError> {
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
        let manifest = Manifest {
            format: FORMAT.into(),
            form: form.name().into(),
            origin: head.origin.clone(),
            first,
            last: self.last,
            count: self.last + 1 - first,
            previous_hash: hex(&before.chain_hash),
            last_hash: hex(&self.chain_hash),
            frontier: before.peaks.iter().map(|peak| hex(peak)).collect(),
            root: hex(&root),
            bytes: self.bytes,
            sha256: hex(&self.sha256.finalize()),
            checkpoint: head.note.clone(),
        };
        manifest.write(path)?;
        Ok(manifest)
    }
}
