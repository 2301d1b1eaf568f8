//! Whether the clocks of the nodes agree with this machine's: the time is in each HTTP answer, to the second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::cluster::status::NodeStatus;
use super::check::Checks;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// What is told in whole seconds may be off by so much and more.
const GOOD_S: i64 = 2;
/// The head of an answer fits.
const HEAD_BYTES_MAX: u64 = 2_048;

pub(super) async fn check(checks: &mut Checks, nodes: &[NodeStatus]) {
    let nodes = nodes.iter().filter(|node| node.status.is_some());
    let asked = nodes
        .filter(|node| !node.http.is_empty())
        .map(|node| async {
            let told = timeout(ASK_TIMEOUT, ahead_s(&node.http)).await;
            (node.id, told.ok().flatten())
        });
    judge(checks, &join_all(asked).await);
}

/// Seconds by which each node's clock is ahead of this machine's; `None` where it does not tell.
fn judge(checks: &mut Checks, told: &[(u64, Option<i64>)]) {
    let known: Vec<_> = told
        .iter()
        .filter_map(|(id, ahead)| Some((*id, (*ahead)?)))
        .collect();
    let ahead = known.iter().map(|(_, ahead)| *ahead);
    let (Some(least), Some(most)) = (ahead.clone().min(), ahead.max()) else {
        let remedy = "see that the nodes' HTTP addresses can be reached from here";
        return checks.warn("clocks", "no node tells its time", remedy);
    };
    if most.max(0) - least.min(0) <= GOOD_S {
        let found = format!("{} nodes agree within {GOOD_S} s", known.len());
        return checks.ok("clocks", found);
    }
    let off: Vec<_> = known
        .iter()
        .map(|(id, ahead)| format!("node {id} {ahead:+} s"))
        .collect();
    let found = format!("against this machine: {}", off.join(", "));
    checks.warn("clocks", found, "run a time service (NTP) on all machines");
}

async fn ahead_s(http: &str) -> Option<i64> {
    let mut stream = TcpStream::connect(http).await.ok()?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let read = stream.take(HEAD_BYTES_MAX).read_to_end(&mut answer).await;
    read.ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(date(&String::from_utf8_lossy(&answer))? - i64::try_from(now).ok()?)
}

/// Seconds since 1970 of the header `date: Thu, 26 Nov 2026 03:00:00 GMT`.
fn date(head: &str) -> Option<i64> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, text) = lines.find(|(name, _)| name.eq_ignore_ascii_case("date"))?;
    let time = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn the_date_is_read() {
        let head = "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n";
        assert_eq!(date(head), Some(1_700_000_000));
        assert_eq!(date("HTTP/1.1 200 OK\r\ndate: yesterday\r\n"), None);
    }

    #[test]
    fn clocks_that_are_off_are_told() {
        let mut checks = Checks::new("cluster");
        judge(&mut checks, &[(1, Some(0)), (2, Some(-1)), (3, None)]);
        judge(&mut checks, &[(1, Some(0)), (2, Some(7))]);
        judge(&mut checks, &[(1, Some(-5))]);
        judge(&mut checks, &[(1, None)]);
        let made = checks.into_made();
        let verdicts: Vec<_> = made.iter().map(|c| c.verdict).collect();
        use Verdict::{Ok, Warn};
        assert_eq!(verdicts, [Ok, Warn, Warn, Warn]);
        assert_eq!(
            made[1].found,
            "against this machine: node 1 +0 s, node 2 +7 s"
        );
    }
}
