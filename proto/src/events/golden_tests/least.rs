//! A log of events with nothing but what a fold needs: all else is left out, messages too.

use stored::event::Payload;

use crate::stored;

/// The log so far.
#[derive(Default)]
struct Log(Vec<(String, stored::Event)>);

impl Log {
    fn put(&mut self, session: &str, name: &str, payload: Payload) {
        let event = stored::Event {
            position: self.0.len() as u64 + 1,
            session_id: session.into(),
            payload: Some(payload),
            ..Default::default()
        };
        self.0.push((name.to_owned(), event));
    }
}

fn null() -> Option<stored::Value> {
    let kind = Some(stored::value::Kind::NullValue(true));
    Some(stored::Value { kind })
}

fn registered(name: &str) -> Payload {
    Payload::VariableRegistered(stored::VariableRegistered {
        name: name.into(),
        value: null(),
        ..Default::default()
    })
}

pub(super) fn log() -> Vec<(String, stored::Event)> {
    let mut log = Log::default();
    let (x, y) = (|| "x".to_owned(), || "y".to_owned());
    let mut put = |name: &str, payload: Payload| log.put("s", name, payload);
    put(
        "SessionCreated",
        Payload::SessionCreated(Default::default()),
    );
    put("VariableRegistered", registered("x"));
    put("VariableRegistered-other", registered("y"));
    let body = stored::VariableSet {
        name: x(),
        value: null(),
        ..Default::default()
    };
    put("VariableSet", Payload::VariableSet(body));
    let body = stored::VariableRolledBack {
        name: x(),
        value: null(),
        ..Default::default()
    };
    put("VariableRolledBack", Payload::VariableRolledBack(body));
    let body = stored::VariableAccessSet {
        name: x(),
        ..Default::default()
    };
    put("VariableAccessSet", Payload::VariableAccessSet(body));
    let body = stored::DependencyAdded {
        from: x(),
        to: y(),
        ..Default::default()
    };
    put("DependencyAdded", Payload::DependencyAdded(body));
    let body = stored::DependencyRemoved { from: x(), to: y() };
    put("DependencyRemoved", Payload::DependencyRemoved(body));
    let body = stored::OptimizationStarted {
        name: x(),
        ..Default::default()
    };
    put("OptimizationStarted", Payload::OptimizationStarted(body));
    let body = stored::OptimizationStopped {
        name: x(),
        ..Default::default()
    };
    put("OptimizationStopped", Payload::OptimizationStopped(body));
    let body = stored::ProgramPut {
        value: null(),
        ..Default::default()
    };
    put("ProgramPut", Payload::ProgramPut(body.clone()));
    put(
        "ProgramDeleted",
        Payload::ProgramDeleted(Default::default()),
    );
    put(
        "ToolsRegistered",
        Payload::ToolsRegistered(Default::default()),
    );
    put("WorkerBound", Payload::WorkerBound(Default::default()));
    put("WorkerUnbound", Payload::WorkerUnbound(Default::default()));
    put("CallStarted", Payload::CallStarted(Default::default()));
    put("CallChunksPut", Payload::CallChunksPut(Default::default()));
    put("CallEnded", Payload::CallEnded(Default::default()));
    let gone = stored::VariableDeleted {
        name: y(),
        ..Default::default()
    };
    put("VariableDeleted", Payload::VariableDeleted(gone));
    put(
        "SessionTouched",
        Payload::SessionTouched(Default::default()),
    );
    put(
        "SessionDeleted",
        Payload::SessionDeleted(Default::default()),
    );
    log.put("", "ProgramPut-global", Payload::ProgramPut(body));
    let nothing = [
        (
            "ProgramExpired",
            Payload::ProgramExpired(Default::default()),
        ),
        ("CallsRecorded", Payload::CallsRecorded(Default::default())),
        ("PoolPut", Payload::PoolPut(Default::default())),
        ("PoolRemoved", Payload::PoolRemoved(Default::default())),
        ("SubjectPut", Payload::SubjectPut(Default::default())),
        ("SubjectErased", Payload::SubjectErased(Default::default())),
    ];
    for (name, payload) in nothing {
        log.put("", name, payload);
    }
    let archived = stored::EventsArchived {
        first: 1,
        last: 1,
        ..Default::default()
    };
    log.put("", "EventsArchived", Payload::EventsArchived(archived));
    let created = Payload::SessionCreated(Default::default());
    log.put("t", "SessionCreated-other", created);
    log.put(
        "t",
        "SessionExpired",
        Payload::SessionExpired(Default::default()),
    );
    log.0
}
