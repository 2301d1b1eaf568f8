//! Where data would be: whether it can be written, how much fits, how long an fsync takes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::super::cluster::layout::Layout;
use super::check::{Check, Checks};

/// Less than this fails: a log segment and a snapshot hardly fit.
const SPACE_MIN_BYTES: u64 = 256 << 20;
/// Less than this warns.
const SPACE_GOOD_BYTES: u64 = 2 << 30;
/// Writes that are timed.
const FSYNCS: usize = 20;
/// And their bytes.
const FSYNC_BYTES: usize = 4_096;
/// A median above this warns: every change waits for an fsync of two nodes.
const FSYNC_GOOD: Duration = Duration::from_millis(20);

pub(super) fn checks(layout: &Layout) -> Vec<Check> {
    let mut checks = Checks::new("disk");
    let dir = nearest(layout.dir());
    let shown = dir.display();
    let times = match fsyncs(&dir) {
        Ok(times) => times,
        Err(error) => {
            let found = format!("{shown}: {error}");
            let remedy = "give a directory that can be written with --dir, or change its owner";
            checks.fail("data directory", found, remedy);
            return checks.into_made();
        }
    };
    let found = if dir == layout.dir() {
        format!("{shown} can be written")
    } else {
        let wanted = layout.dir().display();
        format!("{wanted} is not there yet, {shown} can be written")
    };
    checks.ok("data directory", found);
    match statvfs(&dir) {
        Ok(found) => space(&mut checks, found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => checks.warn("space", error.to_string(), "look with `df`"),
    }
    fsync(&mut checks, times);
    checks.into_made()
}

fn space(checks: &mut Checks, free: u64) {
    let found = format!("{} MiB are free", free >> 20);
    let remedy = "make room, or give a directory on another file system with --dir";
    if free < SPACE_MIN_BYTES {
        checks.fail("space", found, remedy);
    } else if free < SPACE_GOOD_BYTES {
        checks.warn("space", found, remedy);
    } else {
        checks.ok("space", found);
    }
}

fn fsync(checks: &mut Checks, mut times: Vec<Duration>) {
    times.sort();
    let (Some(worst), Some(median)) = (times.last(), times.get(times.len() / 2)) else {
        return;
    };
    let ms = |time: &Duration| time.as_micros() as f64 / 1_000.0;
    let found = format!("{:.1} ms, at worst {:.1} ms", ms(median), ms(worst));
    if *median > FSYNC_GOOD {
        let remedy = "put data on a local solid-state disk: every change waits for this";
        checks.warn("fsync", found, remedy);
    } else {
        checks.ok("fsync", found);
    }
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(dir: &Path) -> PathBuf {
    let found = dir.ancestors().find(|above| above.is_dir());
    found.unwrap_or_else(|| Path::new("/")).to_owned()
}

/// Append and fsync a few times, in a file that is gone afterwards.
fn fsyncs(dir: &Path) -> io::Result<Vec<Duration>> {
    let path = dir.join(format!(".snakepit-doctor-{}", std::process::id()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    let times = timed(file);
    std::fs::remove_file(&path)?;
    times
}

fn timed(mut file: File) -> io::Result<Vec<Duration>> {
    let bytes = [0_u8; FSYNC_BYTES];
    let each = (0..FSYNCS).map(|_| {
        let began = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        Ok(began.elapsed())
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Some(&dir.path().join("a/b"))).unwrap();
        let made = checks(&layout);
        assert_eq!(made[0].verdict, Verdict::Ok);
        assert_eq!(made.len(), 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn slow_and_full_disks_are_told() {
        let mut checks = Checks::new("disk");
        for mib in [100, 1_000, 3_000] {
            space(&mut checks, mib << 20);
        }
        fsync(&mut checks, vec![Duration::from_millis(21); 3]);
        fsync(&mut checks, [1, 2, 90].map(Duration::from_millis).into());
        let made = checks.into_made();
        let verdicts: Vec<_> = made.iter().map(|c| c.verdict).collect();
        use Verdict::{Fail, Ok, Warn};
        assert_eq!(verdicts, [Fail, Warn, Ok, Warn, Ok]);
        assert_eq!(made[4].found, "2.0 ms, at worst 90.0 ms");
    }
}
