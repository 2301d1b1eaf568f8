//! Which events are asked for.

use snakepit_machine::{Event, Payload};
use snakepit_proto::cluster::EventFilter;

/// Refuse a filter that no event could pass by mistake.
///
/// # Errors
///
/// What is wrong with it, and the remedy.
pub fn check(filter: &EventFilter) -> Result<(), String> {
    if let Some(unknown) = filter
        .events
        .iter()
        .find(|kind| !Payload::NAMES.contains(&kind.as_str()))
    {
        return Err(format!(
            "there is no event {unknown}; hint: one of {}",
            Payload::NAMES.join(", ")
        ));
    }
    if filter.until_ms != 0 && filter.until_ms <= filter.since_ms {
        return Err(format!(
            "until_ms, {}, is not after since_ms, {}; hint: give a later end",
            filter.until_ms, filter.since_ms
        ));
    }
    Ok(())
}

/// Whether any event passes.
pub fn is_open(filter: &EventFilter) -> bool {
    *filter == EventFilter::default()
}

/// Whether an event passes.
pub fn passes(filter: &EventFilter, event: &Event) -> bool {
    let EventFilter {
        events,
        variable,
        principal,
        tool,
        worker,
        node,
        since_ms,
        until_ms,
        call_id,
        request_id,
    } = filter;
    let cause = &event.cause;
    let any = |wanted: &str| wanted.is_empty();
    (events.is_empty() || events.iter().any(|kind| kind == event.payload.name()))
        && event.time_ms >= *since_ms
        && (*until_ms == 0 || event.time_ms < *until_ms)
        && (any(variable) || is_of_variable(&event.payload, variable))
        && (any(principal) || is_by(event, principal))
        && (any(tool)
            || cause.tool == *tool
            || is_of_call(&event.payload, |call| call.tool == tool))
        && (any(worker)
            || cause.worker == *worker
            || is_of_call(&event.payload, |call| call.worker == worker))
        && (*node == 0 || cause.node == *node)
        && (any(call_id)
            || cause.call_id == *call_id
            || is_of_call(&event.payload, |call| call.id == call_id))
        && (any(request_id) || cause.request_id == *request_id)
}

fn is_by(event: &Event, principal: &str) -> bool {
    let recorded = || match &event.payload {
        Payload::CallsRecorded { calls } => calls.iter().any(|call| call.principal == principal),
        _ => false,
    };
    event.principal.name == principal || recorded()
}

fn is_of_variable(payload: &Payload, wanted: &str) -> bool {
    match payload {
        Payload::VariableRegistered { name, .. }
        | Payload::VariableSet { name, .. }
        | Payload::VariableDeleted { name, .. }
        | Payload::VariableRolledBack { name, .. }
        | Payload::VariableAccessSet { name, .. }
        | Payload::OptimizationStarted { name, .. }
        | Payload::OptimizationStopped { name, .. } => name == wanted,
        Payload::DependencyAdded { from, to, .. } | Payload::DependencyRemoved { from, to } => {
            from == wanted || to == wanted
        }
        _ => false,
    }
}

/// A call, as an event of the journal tells of it.
struct Told<'a> {
    id: &'a str,
    tool: &'a str,
    worker: &'a str,
}

fn is_of_call(payload: &Payload, wanted: impl Fn(Told<'_>) -> bool) -> bool {
    match payload {
        Payload::CallStarted { call_id, tool, .. } => wanted(Told {
            id: call_id,
            tool,
            worker: "",
        }),
        Payload::CallEnded {
            call_id,
            tool,
            worker,
            ..
        } => wanted(Told {
            id: call_id,
            tool,
            worker,
        }),
        Payload::CallChunksPut { call_id, .. } => wanted(Told {
            id: call_id,
            tool: "",
            worker: "",
        }),
        Payload::CallsRecorded { calls } => calls.iter().any(|call| {
            wanted(Told {
                id: &call.call_id,
                tool: &call.tool,
                worker: &call.worker,
            })
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use snakepit_machine::{Cause, Principal};

    use super::*;

    fn event(payload: Payload) -> Event {
        Event {
            position: 1,
            session_id: "s".into(),
            revision: 1,
            raft_index: 1,
            raft_term: 1,
            time_ms: 1_000,
            principal: Principal {
                name: "ada".into(),
                verified: false,
            },
            cause: Cause {
                request_id: "r".into(),
                call_id: "c".into(),
                tool: "train".into(),
                worker: "w".into(),
                node: 2,
            },
            answer: None,
            payload,
        }
    }

    #[test]
    fn all_that_is_given_must_fit() {
        let set = event(Payload::DependencyAdded {
            from: "x".into(),
            to: "y".into(),
            kind: "derives".into(),
        });
        let open = EventFilter::default();
        assert!(is_open(&open) && passes(&open, &set));
        let text = String::from;
        let fitting = EventFilter {
            events: vec![text("VariableSet"), text("DependencyAdded")],
            variable: text("y"),
            principal: text("ada"),
            tool: text("train"),
            worker: text("w"),
            node: 2,
            since_ms: 1_000,
            until_ms: 1_001,
            call_id: text("c"),
            request_id: text("r"),
        };
        assert!(passes(&fitting, &set));
        let others = [
            EventFilter {
                events: vec![text("VariableSet")],
                ..fitting.clone()
            },
            EventFilter {
                variable: text("z"),
                ..fitting.clone()
            },
            EventFilter {
                principal: text("eve"),
                ..fitting.clone()
            },
            EventFilter {
                tool: text("score"),
                ..fitting.clone()
            },
            EventFilter {
                worker: text("v"),
                ..fitting.clone()
            },
            EventFilter {
                node: 1,
                ..fitting.clone()
            },
            EventFilter {
                since_ms: 1_001,
                ..fitting.clone()
            },
            EventFilter {
                until_ms: 1_000,
                ..fitting.clone()
            },
            EventFilter {
                call_id: text("d"),
                ..fitting.clone()
            },
            EventFilter {
                request_id: text("q"),
                ..fitting.clone()
            },
        ];
        for other in others {
            assert!(!passes(&other, &set), "{other:?}");
        }
    }

    #[test]
    fn records_of_calls_are_found_by_what_they_tell() {
        let call = snakepit_machine::CallRecord {
            call_id: "k".into(),
            tool: "score".into(),
            worker: "v".into(),
            principal: "eve".into(),
            ..Default::default()
        };
        let recorded = event(Payload::CallsRecorded { calls: vec![call] });
        for filter in [
            EventFilter {
                call_id: "k".into(),
                ..Default::default()
            },
            EventFilter {
                tool: "score".into(),
                ..Default::default()
            },
            EventFilter {
                worker: "v".into(),
                ..Default::default()
            },
            EventFilter {
                principal: "eve".into(),
                ..Default::default()
            },
        ] {
            assert!(passes(&filter, &recorded), "{filter:?}");
        }
    }

    #[test]
    fn filters_that_nothing_can_pass_are_refused() {
        let unknown = EventFilter {
            events: vec!["variable_set".into()],
            ..Default::default()
        };
        assert!(
            check(&unknown)
                .unwrap_err()
                .contains("hint: one of SessionCreated")
        );
        let backwards = EventFilter {
            since_ms: 2,
            until_ms: 2,
            ..Default::default()
        };
        assert!(check(&backwards).is_err());
    }
}
