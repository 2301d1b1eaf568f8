//! Whether a Python can serve as a worker, found before anything is started.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::super::error::CliError;

const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// The Python that is taken where none is named.
pub(crate) fn default() -> String {
    std::env::var("SNAKEPIT_PYTHON")
        .ok()
        .filter(|python| !python.is_empty())
        .unwrap_or_else(|| "python3".into())
}

/// Check that a Python has the `snakepit` package.
pub(crate) async fn check(python: &str) -> Result<(), CliError> {
    let hint = "install the snakepit package there, name another Python with --python, \
                or do without workers: --workers 0";
    let mut command = Command::new(python);
    command
        .args(["-c", "import snakepit.worker"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = match timeout(CHECK_TIMEOUT, command.output()).await {
        Ok(ended) => ended,
        Err(_) => return Err(CliError::failed(format!("{python} does not answer")).hint(hint)),
    };
    let ended = ended
        .map_err(|error| CliError::failed(format!("cannot run {python}: {error}")).hint(hint))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said
        .lines()
        .last()
        .unwrap_or("no reason given")
        .trim()
        .to_owned();
    Err(CliError::failed(format!("{python} cannot run workers: {last}")).hint(hint))
}
