//! What the kernel and the system must offer.

use std::path::PathBuf;

use rustix::process::{PidfdFlags, Resource, child_subreaper, getpid, getrlimit, pidfd_open};

use super::super::cluster::layout::Layout;
use super::check::{Check, Checks};
use crate::pool::PATH_BYTES_MAX;

/// Open files that a busy node may need: connections, pipes of workers, files of the store.
const FILES_GOOD: u64 = 4_096;
/// Those without which it hardly starts.
const FILES_MIN: u64 = 512;
/// The last file of the path of a node's socket.
const SOCKET: &str = "worker.sock";
/// Where the node's socket goes where its path would be too long.
const SHORT_PLACES: &str = "/run or the directory for temporary files";

pub(super) fn checks(layout: &Layout) -> Vec<Check> {
    let mut checks = Checks::new("machine");
    files(&mut checks, getrlimit(Resource::Nofile).current);
    shell(&mut checks);
    kernel(&mut checks);
    socket(&mut checks, &layout.data(1).join(SOCKET));
    checks.into_made()
}

/// `None` is no limit.
fn files(checks: &mut Checks, limit: Option<u64>) {
    let name = "open files";
    let found = match limit {
        None => "no limit".to_owned(),
        Some(limit) => format!("at most {limit}"),
    };
    let remedy = format!("raise the limit to {FILES_GOOD} or more: `ulimit -n {FILES_GOOD}`");
    match limit {
        Some(limit) if limit < FILES_MIN => checks.fail(name, found, remedy),
        Some(limit) if limit < FILES_GOOD => checks.warn(name, found, remedy),
        _ => checks.ok(name, found),
    }
}

/// The guard over the workers' children is a shell.
fn shell(checks: &mut Checks) {
    match find_in_path("sh") {
        Some(path) => checks.ok("shell", path.display().to_string()),
        None => checks.fail(
            "shell",
            "there is no `sh` in PATH",
            "install one, or mend PATH: it ends the workers' children where a node is killed",
        ),
    }
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

fn kernel(checks: &mut Checks) {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let remedy = "use Linux 5.4 or newer, in a container that allows the call";
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => checks.ok("pidfd_open", format!("Linux {release} has it")),
        Err(error) => checks.fail("pidfd_open", format!("Linux {release}: {error}"), remedy),
    }
    match child_subreaper() {
        Ok(_) => checks.ok("PR_SET_CHILD_SUBREAPER", format!("Linux {release} has it")),
        Err(error) => checks.fail(
            "PR_SET_CHILD_SUBREAPER",
            format!("Linux {release}: {error}"),
            remedy,
        ),
    }
}

fn socket(checks: &mut Checks, path: &std::path::Path) {
    let bytes = path.as_os_str().len();
    let found = format!("{bytes} of {PATH_BYTES_MAX} bytes");
    if bytes <= PATH_BYTES_MAX {
        checks.ok("socket path", found);
    } else {
        checks.warn(
            "socket path",
            format!("{found}: workers' sockets go to {SHORT_PLACES}"),
            "use a shorter --dir, to have them in the data directory",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn limits_are_told() {
        let mut checks = Checks::new("machine");
        files(&mut checks, None);
        files(&mut checks, Some(4_096));
        files(&mut checks, Some(1_024));
        files(&mut checks, Some(256));
        socket(&mut checks, Path::new("/a/worker.sock"));
        socket(&mut checks, &Path::new("/").join("x".repeat(100)));
        shell(&mut checks);
        let verdicts: Vec<_> = checks.into_made().iter().map(|c| c.verdict).collect();
        use Verdict::{Fail, Ok, Warn};
        assert_eq!(verdicts, [Ok, Ok, Warn, Fail, Ok, Warn, Ok]);
    }
}
