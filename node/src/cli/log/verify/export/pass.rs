//! One way through an export, in its order: docs/evidence-format.md, "To check an export".

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use sha2::{Digest as _, Sha256};
use snakepit_storage::tree::{Frontier, Hash, empty_root};

use super::super::super::super::output::hex;
use super::batches::{Batch, Checked, Source};
use super::claims::Claims;
use super::difference::safe;
use super::fault::Fault;
use super::shown::Sound;
use crate::evidence::checkpoint::{Checkpoint, NoteError, VerifyingKey};

/// Fewer events are not worth a second thread.
const EVENTS_MIN: u64 = 2_000;
/// Threads, at most.
const THREADS_MAX: usize = 8;

/// What is known of an export that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// The checkpoints that it agrees with: what they are called, and their sizes.
    pub(super) compared: Vec<(&'static str, u64)>,
    /// Whose signatures were checked, and up to which position they reach.
    pub(super) signed: Option<(String, u64)>,
}

/// A checkpoint that the log has to agree with.
struct Wanted {
    what: &'static str,
    checkpoint: Checkpoint,
}

/// Check an export against its manifest, and both against checkpoints: the manifest's, and another one.
///
/// # Errors
///
/// The first thing that is wrong.
pub(super) fn verify(
    source: impl Source,
    claims: &Claims,
    key: Option<&VerifyingKey>,
    checkpoint: Option<&str>,
) -> Result<Verified, Fault> {
    let wanted = wanted(claims, key, checkpoint)?;
    let compared: Vec<_> = wanted
        .iter()
        .map(|wanted| (wanted.what, wanted.checkpoint.size))
        .collect();
    let pass = Pass::new(claims, wanted)?;
    pass.run(source)?;
    let signed_to = compared.iter().map(|(_, size)| *size).max().unwrap_or(0);
    let signed = key.map(|key| (key.name().to_owned(), signed_to));
    Ok(Verified { compared, signed })
}

fn wanted(
    claims: &Claims,
    key: Option<&VerifyingKey>,
    checkpoint: Option<&str>,
) -> Result<Vec<Wanted>, Fault> {
    let notes = [
        ("the checkpoint", checkpoint),
        ("the manifest's checkpoint", claims.checkpoint.as_deref()),
    ];
    let mut wanted = Vec::new();
    for (what, note) in notes {
        let Some(note) = note else { continue };
        let checkpoint = match key {
            Some(key) => Checkpoint::open(note, key),
            None => Checkpoint::read(note),
        };
        let checkpoint = checkpoint.map_err(|error| not_signed(what, error))?;
        wanted.push(Wanted { what, checkpoint });
    }
    if key.is_some() && wanted.is_empty() {
        return Err(Fault::of("the manifest has no checkpoint")
            .hint("get one, and give it with --checkpoint"));
    }
    for each in &wanted {
        check_frame(each, claims)?;
    }
    if let Some(own) = wanted.last().filter(|_| claims.checkpoint.is_some())
        && own.checkpoint.size != claims.last
    {
        return Err(Fault::of(format!(
            "the manifest's checkpoint is of size {}, the export ends at {}",
            own.checkpoint.size, claims.last
        )));
    }
    Ok(wanted)
}

fn not_signed(what: &str, error: NoteError) -> Fault {
    let hint = match error {
        NoteError::Malformed(_) => {
            "a checkpoint is three lines, an empty one and signatures; get it again"
        }
        NoteError::Unsigned => "check that this is the cluster's key",
        NoteError::Forged => "somebody changed the checkpoint: get it again, and keep this one",
    };
    Fault::of(format!("{what}: {error}")).hint(hint)
}

/// All that a checkpoint can be asked before the events are read.
fn check_frame(wanted: &Wanted, claims: &Claims) -> Result<(), Fault> {
    let (what, checkpoint) = (wanted.what, &wanted.checkpoint);
    if checkpoint.origin != claims.origin {
        let (of, export) = (safe(&checkpoint.origin), safe(&claims.origin));
        let told = format!("{what} is of {of}, the export of {export}");
        return Err(Fault::of(told).hint("take the checkpoint of the cluster that was exported"));
    }
    let (size, last) = (checkpoint.size, claims.last);
    if size > last {
        let told = format!("{what} is of size {size}, the export ends at {last}");
        let hint = format!("export the events up to {size}, or take a checkpoint of {last}");
        return Err(Fault::of(told).hint(hint));
    }
    if size == last && checkpoint.root != claims.root {
        return Err(Fault::of(format!(
            "the root of {what} is {}, the manifest's is {}",
            hex(&checkpoint.root),
            hex(&claims.root)
        )));
    }
    Ok(())
}

/// How far the pass has come.
struct Pass<'a> {
    claims: &'a Claims,
    tree: Frontier,
    hash: Hash,
    position: u64,
    /// What is still to be compared, by size.
    wanted: BTreeMap<u64, Vec<Wanted>>,
}

impl<'a> Pass<'a> {
    fn new(claims: &'a Claims, wanted: Vec<Wanted>) -> Result<Self, Fault> {
        let before = claims.first - 1;
        let tree = Frontier::of(before, claims.frontier.clone())
            .ok_or_else(|| Fault::of("the manifest's frontier does not fit"))?;
        let mut by_size: BTreeMap<u64, Vec<Wanted>> = BTreeMap::new();
        for each in wanted {
            by_size.entry(each.checkpoint.size).or_default().push(each);
        }
        Ok(Self {
            claims,
            tree,
            hash: claims.previous_hash,
            position: before,
            wanted: by_size,
        })
    }

    fn run(mut self, mut source: impl Source) -> Result<(), Fault> {
        self.compare_in_front()?;
        let claims = self.claims;
        let mut left = claims.last - self.position;
        let threads = threads(left);
        while left > 0 {
            let mut batches = Vec::new();
            while left > 0 && batches.len() < threads {
                let batch = source.batch(left)?;
                left -= batch.len();
                batches.push(batch);
            }
            for checked in self.checked(batches) {
                for sound in checked.sound {
                    self.take(&sound)?;
                }
                if let Some(trouble) = checked.trouble {
                    return Err(Fault::at(self.position + 1, &trouble));
                }
            }
        }
        if !source.has_ended()? {
            return Err(Fault::of(format!(
                "the file goes on behind event {}, the last one of the manifest",
                claims.last
            )));
        }
        self.compare_at_the_end(source.contents())
    }

    /// Check batches, each on a thread of its own.
    fn checked(&self, batches: Vec<Batch>) -> Vec<Checked> {
        let mut first = self.position + 1;
        let claims = self.claims;
        thread::scope(|scope| {
            let mut running = Vec::new();
            let mut checked = Vec::new();
            let last = batches.len().saturating_sub(1);
            for (number, batch) in batches.into_iter().enumerate() {
                let from = first;
                first += batch.len();
                let check = move || batch.check(claims.form, &claims.origin, from);
                if number == last {
                    // This thread would only wait.
                    checked.push(check());
                } else {
                    running.push(scope.spawn(check));
                }
            }
            let own = checked;
            let mut checked: Vec<_> = running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| stopped()))
                .collect();
            checked.extend(own);
            checked
        })
    }

    fn take(&mut self, sound: &Sound) -> Result<(), Fault> {
        let position = self.position + 1;
        let hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(&sound.bytes);
        self.hash = hash.finalize().into();
        let hash = hex(&self.hash);
        if sound.hash != hash {
            let told = format!(
                "its hash is {}, that of the chain is {hash}",
                safe(&sound.hash)
            );
            return Err(Fault::at(position, &told));
        }
        self.tree.push(sound.leaf, |_, _| {});
        self.position = position;
        if let Some(wanted) = self.wanted.remove(&position) {
            compare(&wanted, &self.tree.root())?;
        }
        Ok(())
    }

    /// Checkpoints of sizes in front of the export: of some the root is known still.
    fn compare_in_front(&mut self) -> Result<(), Fault> {
        let mut earlier = vec![(0, empty_root())];
        let mut size = 0;
        let perfect = (0..64).rev().map(|level| 1_u64 << level);
        let sizes = perfect.filter(|size| self.tree.size() & size != 0);
        for (number, more) in sizes.enumerate() {
            size += more;
            let peaks = self.tree.peaks()[..=number].to_vec();
            earlier.extend(Frontier::of(size, peaks).map(|tree| (size, tree.root())));
        }
        for (size, root) in earlier {
            if let Some(wanted) = self.wanted.remove(&size) {
                compare(&wanted, &root)?;
            }
        }
        let first = self.claims.first;
        match self.wanted.first_key_value() {
            Some((size, wanted)) if *size < first => {
                let what = wanted.first().map_or("a checkpoint", |wanted| wanted.what);
                let told = format!("{what} is of size {size}, the export begins at {first}");
                let from = size + 1;
                let hint = format!("export the events from {from}, or earlier ones too");
                Err(Fault::of(told).hint(hint))
            }
            _ => Ok(()),
        }
    }

    fn compare_at_the_end(&self, (bytes, sha256): (u64, Hash)) -> Result<(), Fault> {
        let claims = self.claims;
        let pairs = [
            ("the last hash", self.hash, claims.last_hash),
            ("the root", self.tree.root(), claims.root),
            ("the file's sha256", sha256, claims.sha256),
        ];
        if let Some((what, found, said)) = pairs.into_iter().find(|(_, found, said)| found != said)
        {
            return Err(Fault::of(format!(
                "{what} is {}, the manifest says {}",
                hex(&found),
                hex(&said)
            )));
        }
        if bytes != claims.bytes {
            return Err(Fault::of(format!(
                "the file has {bytes} bytes, the manifest says {}",
                claims.bytes
            )));
        }
        Ok(())
    }
}

fn compare(wanted: &[Wanted], root: &Hash) -> Result<(), Fault> {
    match wanted.iter().find(|wanted| wanted.checkpoint.root != *root) {
        None => Ok(()),
        Some(wanted) => {
            let checkpoint = &wanted.checkpoint;
            let told = format!(
                "the root at size {} is {}, {} says {}",
                checkpoint.size,
                hex(root),
                wanted.what,
                hex(&checkpoint.root)
            );
            Err(Fault::of(told).hint(
                "this is not the log that was signed: keep both, and compare with others who have checkpoints",
            ))
        }
    }
}

fn threads(events: u64) -> usize {
    if events < EVENTS_MIN {
        return 1;
    }
    let there = thread::available_parallelism().map_or(1, NonZero::get);
    there.min(THREADS_MAX)
}

/// A thread that was stopped by a mistake in this program.
fn stopped() -> Checked {
    Checked {
        sound: Vec::new(),
        trouble: Some("it could not be checked; hint: report this as a bug".into()),
    }
}
