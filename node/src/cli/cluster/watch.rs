//! Staying with a cluster: telling what happens until somebody says stop.

use std::time::Duration;

use snakepit_client::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::error::CliError;
use super::super::output::note;
use super::layout::Layout;
use super::record::Record;
use super::spawn::Started;

const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// Time for a node to tell who leads.
const PATIENCE: Duration = Duration::from_millis(800);

/// How often the process was asked to stop, by Ctrl-C, SIGTERM or a closed terminal.
pub(crate) fn stop_signals() -> Result<watch::Receiver<u32>, CliError> {
    let (sender, receiver) = watch::channel(0);
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind).map_err(CliError::failed)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                sender.send_modify(|count| *count += 1);
            }
        });
    }
    Ok(receiver)
}

/// Wait until the process was asked that often.
pub(crate) async fn asked(mut stop: watch::Receiver<u32>, times: u32) {
    if stop.wait_for(|count| *count >= times).await.is_err() {
        // Nobody can ask any more.
        std::future::pending::<()>().await;
    }
}

/// Tell what happens to the nodes until asked to stop, or until all are down.
pub(crate) async fn until_stopped(
    layout: &Layout,
    client: &Client,
    nodes: &mut [Started],
    stop: watch::Receiver<u32>,
) -> Result<(), CliError> {
    let client = client.clone().with_timeout(PATIENCE);
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            () = asked(stop.clone(), 1) => return Ok(()),
            () = sleep(LOOK_INTERVAL) => {}
        }
        for node in nodes.iter_mut() {
            let _ = node.ended();
        }
        let record = Record::load(layout)?;
        let up: Vec<_> = record
            .nodes
            .iter()
            .map(|node| (node.id, node.running().map(|p| p.pid)))
            .collect();
        let any_up = up.iter().any(|(_, pid)| pid.is_some());
        let leader = match any_up {
            true => client
                .status()
                .await
                .ok()
                .map(|status| (status.leader_id, status.term)),
            false => None,
        };
        for event in seen.look(up, leader) {
            let now = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
            note(&format!("{now} {event}"));
        }
        if !any_up {
            note("all nodes are down");
            return Ok(());
        }
    }
}

/// What was seen at the last look.
#[derive(Debug, Default)]
struct Seen {
    up: Vec<(u64, Option<u32>)>,
    leader: Option<(u64, u64)>,
}

impl Seen {
    /// What is notable now; the first look is not.
    fn look(&mut self, up: Vec<(u64, Option<u32>)>, leader: Option<(u64, u64)>) -> Vec<String> {
        let mut events = Vec::new();
        for ((id, before), (_, now)) in self.up.iter().zip(&up) {
            match (before, now) {
                (Some(pid), None) => {
                    events.push(format!("node {id} is down, process {pid} has ended"))
                }
                (None, Some(pid)) => events.push(format!("node {id} is up, process {pid}")),
                (Some(old), Some(new)) if old != new => {
                    events.push(format!("node {id} was started anew, process {new}"));
                }
                _ => {}
            }
        }
        self.up = up;
        // An older term is the word of a node that has not heard yet.
        if let Some((id, term)) = leader
            && id != 0
            && self.leader.is_none_or(|(_, known)| term >= known)
        {
            if self.leader.is_some_and(|(known, _)| known != id) {
                events.push(format!("node {id} leads, term {term}"));
            }
            self.leader = Some((id, term));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_once() {
        let mut seen = Seen::default();
        assert!(
            seen.look(vec![(1, Some(10)), (2, Some(20))], Some((1, 1)))
                .is_empty()
        );
        let told = seen.look(vec![(1, None), (2, Some(20))], Some((2, 2)));
        assert_eq!(
            told,
            [
                "node 1 is down, process 10 has ended",
                "node 2 leads, term 2"
            ]
        );
        assert!(
            seen.look(vec![(1, None), (2, Some(20))], Some((1, 1)))
                .is_empty()
        );
        assert!(seen.look(vec![(1, None), (2, Some(20))], None).is_empty());
        let told = seen.look(vec![(1, Some(11)), (2, Some(21))], Some((2, 2)));
        assert_eq!(
            told,
            [
                "node 1 is up, process 11",
                "node 2 was started anew, process 21"
            ]
        );
    }
}
