use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use snakepit_proto::bridge::{TelemetryControl, TelemetryEvent};
use tonic::{Response, Status, Streaming};

use super::Answers;
use crate::services::{Ask, Failure, Node};
use crate::telemetry::events::{self, Filter, Subscription};

/// The events of this node and of its workers, from now on, as the reader's controls choose them. A reader
/// that is slow misses some.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    controls: Streaming<TelemetryControl>,
) -> Result<Response<Answers<TelemetryEvent>>, Failure> {
    let reader = Reader::new(node.id(), controls);
    // The request keeps its place among those that are served at once.
    let answers = stream::unfold(Some((node, ask, reader)), |open| async {
        let (node, ask, mut reader) = open?;
        match reader.next().await {
            Ok(event) => Some((Ok(event), Some((node, ask, reader)))),
            Err(End::Gone) => None,
            Err(End::Failed(failure)) => Some((Err(node.status(failure)), None)),
        }
    });
    Ok(Response::new(Box::pin(answers)))
}

/// One reader of this node's events.
struct Reader<S> {
    node_id: String,
    /// None once the reader has said all that it will.
    controls: Option<S>,
    filter: Filter,
    events: Subscription,
}

#[derive(Debug)]
enum End {
    Gone,
    Failed(Failure),
}

impl<S: Stream<Item = Result<TelemetryControl, Status>> + Unpin> Reader<S> {
    fn new(node_id: u64, controls: S) -> Self {
        Self {
            node_id: node_id.to_string(),
            controls: Some(controls),
            filter: Filter::default(),
            events: events::subscribe(),
        }
    }

    async fn next(&mut self) -> Result<TelemetryEvent, End> {
        loop {
            let event = tokio::select! {
                biased;
                control = next_control(&mut self.controls) => {
                    match control {
                        Some(Ok(control)) => {
                            let obeyed = self.filter.obey(control);
                            obeyed.map_err(|wrong| End::Failed(Failure::Invalid(wrong)))?;
                        }
                        Some(Err(_)) => return Err(End::Gone),
                        None => self.controls = None,
                    }
                    continue;
                }
                event = self.events.recv() => event,
            };
            let Some(event) = event else {
                return Err(End::Failed(Failure::Unavailable(
                    "this node stops; hint: listen to another node, or to this one when it is back"
                        .to_owned(),
                )));
            };
            if self.filter.takes(&event) {
                let mut event = TelemetryEvent::clone(&event);
                let key = "node_id".to_owned();
                event.metadata.insert(key, self.node_id.clone());
                return Ok(event);
            }
        }
    }
}

/// The next control, or none at the end; afterwards it waits for ever.
async fn next_control<S: Stream + Unpin>(controls: &mut Option<S>) -> Option<S::Item> {
    match controls {
        Some(controls) => controls.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use snakepit_proto::bridge::TelemetryEventFilter;
    use snakepit_proto::bridge::TelemetryToggle;
    use snakepit_proto::bridge::telemetry_control::Control;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    fn toggle(enabled: bool) -> Control {
        Control::Toggle(TelemetryToggle { enabled })
    }

    fn only(pattern: &str) -> Control {
        Control::Filter(TelemetryEventFilter {
            allow: vec![pattern.to_owned()],
            deny: Vec::new(),
        })
    }

    fn control(control: Control) -> Result<TelemetryControl, Status> {
        Ok(TelemetryControl {
            control: Some(control),
        })
    }

    /// Names of the events of one pool that come within a moment.
    async fn taken<S>(reader: &mut Reader<S>, pool: &str) -> Vec<String>
    where
        S: Stream<Item = Result<TelemetryControl, Status>> + Unpin,
    {
        let mut names = Vec::new();
        let moment = Duration::from_millis(200);
        while let Ok(event) = tokio::time::timeout(moment, reader.next()).await {
            let event = event.unwrap();
            assert_eq!(event.metadata["node_id"], "7");
            if event
                .metadata
                .get("pool")
                .is_some_and(|found| found == pool)
            {
                names.push(event.event_parts.join("."));
            }
        }
        names
    }

    #[tokio::test]
    async fn controls_choose_what_comes() {
        let (controls, taken_controls) = mpsc::channel(8);
        let mut reader = Reader::new(7, ReceiverStream::new(taken_controls));
        let pool = "streamed";
        let fire = || {
            events::worker_spawned(pool, "w-1");
            events::circuit_closed(pool, "square");
        };
        fire();
        let all = ["pool.worker.spawned", "circuit_breaker.closed"];
        assert_eq!(taken(&mut reader, pool).await, all);

        controls.send(control(only("pool.*"))).await.unwrap();
        fire();
        assert_eq!(taken(&mut reader, pool).await, all[..1]);

        controls.send(control(toggle(false))).await.unwrap();
        fire();
        assert!(taken(&mut reader, pool).await.is_empty());

        controls.send(control(toggle(true))).await.unwrap();
        controls.send(control(only("*"))).await.unwrap();
        // The reader may end its side and go on listening.
        drop(controls);
        fire();
        assert_eq!(taken(&mut reader, pool).await, all);
    }

    #[tokio::test]
    async fn a_bad_control_and_a_broken_line_end_the_stream() {
        let pattern = "p".repeat(1_000);
        let bad = stream::iter([control(only(&pattern))]);
        let ended = Reader::new(7, bad).next().await;
        assert!(
            matches!(ended, Err(End::Failed(Failure::Invalid(_)))),
            "{ended:?}"
        );
        let broken = stream::iter([Err(Status::cancelled("gone"))]);
        assert!(matches!(
            Reader::new(7, broken).next().await,
            Err(End::Gone)
        ));
    }
}
