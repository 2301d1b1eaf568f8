//! What must hold of each step, and of rows and events.

use std::collections::{BTreeMap, BTreeSet};

use snakepit_machine::{
    Answer, BINDINGS_PER_SESSION_MAX, Body, Command, Event, Kept, MemoryRows, Payload, Row, RowKey,
    RowsExt, SessionRow, VariableRow,
};

use crate::support::*;

/// Answers that must be given again.
#[derive(Default)]
pub(super) struct Answers {
    living: BTreeMap<(String, String), Answer>,
    outliving: BTreeMap<(String, String), Answer>,
}

impl Answers {
    pub(super) fn expected(
        &self,
        machine: &Machine,
        time_ms: u64,
        command: &Command,
    ) -> Option<&Answer> {
        let session_id = command.body.session_id();
        let key = (session_id.to_owned(), command.origin.request_id.clone());
        let begins_or_ends = matches!(
            command.body,
            Body::CreateSession(_)
                | Body::ImportSession(_)
                | Body::DeleteSession(_)
                | Body::ExpireSession(_)
        );
        if begins_or_ends || session_id.is_empty() {
            return self.outliving.get(&key);
        }
        let time_ms = time_ms.max(machine.head().time_ms);
        let session = machine.rows.session(session_id).unwrap();
        session
            .filter(|session| session.alive_at(time_ms))
            .and_then(|_| self.living.get(&key))
    }

    pub(super) fn learn(&mut self, event: &Event) {
        let key = (event.session_id.clone(), event.cause.request_id.clone());
        let ends = matches!(
            event.payload,
            Payload::SessionDeleted | Payload::SessionExpired { .. }
        );
        if ends {
            self.living
                .retain(|(session_id, _), _| *session_id != event.session_id);
        }
        let Some(answer) = &event.answer else { return };
        let begins = matches!(
            answer,
            Answer::SessionCreated { .. } | Answer::SessionImported { .. }
        );
        let kept = if ends || begins || event.session_id.is_empty() {
            &mut self.outliving
        } else {
            &mut self.living
        };
        assert_eq!(
            kept.insert(key, answer.clone()),
            None,
            "a kept answer was given anew"
        );
    }
}

/// What a command may do, by its kind.
pub(super) fn check_step(command: &Command, did: &Did) {
    assert_eq!(
        did.events.is_empty(),
        did.changes.rows.is_empty() && did.changes.cleared.is_empty()
    );
    if did.outcome.is_err() {
        assert_eq!(did.events, []);
    }
    let Body::SetVariables(body) = &command.body else {
        return;
    };
    let Ok(Answer::VariablesSet { versions, refused }) = &did.outcome else {
        return;
    };
    if body.atomic && !refused.is_empty() {
        assert_eq!(did.events, []);
        // With a name it may be the first answer, to another command of that name.
        assert!(versions.is_empty() || !command.origin.request_id.is_empty());
    }
    if did.events.is_empty() {
        return;
    }
    assert_eq!(did.events.len(), versions.len());
    if body.atomic {
        assert_eq!(
            did.events.len(),
            body.updates.len(),
            "an atomic batch is all or nothing"
        );
        assert!(refused.is_empty());
    } else {
        let distinct: BTreeSet<_> = body
            .updates
            .iter()
            .map(|update| &update.identifier)
            .collect();
        let answered: BTreeSet<_> = versions.keys().chain(refused.keys()).collect();
        assert_eq!(answered, distinct, "each is answered");
    }
}

/// A session's rows.
#[derive(Default)]
pub(super) struct Held<'a> {
    variables: BTreeMap<&'a str, &'a VariableRow>,
    programs: u64,
    tools: u64,
    answers: BTreeMap<u64, BTreeSet<&'a str>>,
}

/// What is true of rows at any time.
pub(super) fn check_rows(rows: &MemoryRows) {
    let mut sessions: BTreeMap<&str, &SessionRow> = BTreeMap::new();
    let (mut deadlines, mut program_deadlines) = (Vec::new(), Vec::new());
    let mut global = Vec::new();
    let mut archived = 0;
    let mut subjects = 0;
    let mut pools = 0;
    let mut held: BTreeMap<&str, Held<'_>> = BTreeMap::new();
    for (key, row) in rows.iter() {
        match (key, row) {
            (RowKey::Head, Row::Head(_)) => {}
            (RowKey::Session(id), Row::Session(session)) => {
                assert_eq!(*id, session.id);
                sessions.insert(id.as_str(), session);
            }
            (RowKey::Variable(session, name), Row::Variable(variable)) => {
                assert_eq!(*name, variable.name);
                assert!(variable.id.starts_with(&format!("var_{name}_")));
                let held = held.entry(session).or_default();
                held.variables.insert(name, variable);
            }
            (RowKey::Request(session, epoch, id), Row::Request(_)) => {
                let held = held.entry(session).or_default();
                assert!(
                    held.answers.entry(*epoch).or_default().insert(id),
                    "one request twice"
                );
            }
            (RowKey::Deadline(time_ms, session), Row::Deadline) => {
                deadlines.push((*time_ms, session.as_str()))
            }
            (RowKey::ProgramDeadline(time_ms, id), Row::Deadline) => {
                program_deadlines.push((*time_ms, id.as_str()))
            }
            (RowKey::Program(session, id), Row::Program(program)) => {
                assert_eq!(*id, program.id);
                assert_eq!(session.is_empty(), program.ttl_ms != 0);
                held.entry(session).or_default().programs += 1;
                if session.is_empty() {
                    global.push((program.deadline_ms(), id.as_str()));
                }
            }
            (RowKey::Tool(session, name), Row::Tool(tool)) => {
                assert_eq!(*name, tool.name);
                held.entry(session).or_default().tools += 1;
            }
            (RowKey::Pool(name), Row::Pool(pool)) => {
                assert_eq!(*name, pool.name);
                assert!(pool.version > 0 && pool.created_ms <= pool.updated_ms);
                pools += 1;
            }
            (RowKey::Subject(name), Row::Subject(subject)) => {
                assert_eq!(*name, subject.name);
                subjects += 1;
            }
            (RowKey::Segment(first), Row::Segment(segment)) => {
                assert_eq!((*first, segment.first), (archived + 1, archived + 1));
                assert!(segment.last >= segment.first);
                archived = segment.last;
            }
            (key, row) => panic!("{key:?} holds {row:?}"),
        }
    }
    let head = rows.head().unwrap();
    assert_eq!(head.archived, archived);
    assert_eq!(head.subjects, subjects);
    assert!(archived == 0 || archived < head.position);
    assert_eq!(head.sessions, sessions.len() as u64);
    assert_eq!(head.pools, pools);
    assert!(head.pools_position <= head.position);
    let mut wanted: Vec<_> = sessions
        .values()
        .map(|row| (row.deadline_ms(), row.id.as_str()))
        .collect();
    wanted.sort_unstable();
    assert_eq!(
        deadlines, wanted,
        "one deadline for each session, and no other"
    );
    global.sort_unstable();
    assert_eq!(
        program_deadlines, global,
        "one deadline for each global program, and no other"
    );
    let of_none = held.remove("").unwrap_or_default();
    assert_eq!(head.programs, of_none.programs);
    assert!(of_none.variables.is_empty() && of_none.tools == 0);
    check_answers(head.answers, &of_none);
    for (id, session) in sessions {
        let held = held.remove(id).unwrap_or_default();
        assert_eq!(session.variables, held.variables.len() as u64);
        assert_eq!(session.programs, held.programs);
        assert_eq!(session.tools, held.tools);
        assert!(session.bindings.len() <= BINDINGS_PER_SESSION_MAX);
        check_answers(session.answers, &held);
        check_variables(session, &held.variables);
    }
    assert!(held.is_empty(), "rows of no session");
}

pub(super) fn check_answers(kept: Kept, held: &Held<'_>) {
    let now = held.answers.get(&kept.epoch);
    assert_eq!(now.map_or(0, |now| now.len() as u64), kept.count);
    assert!(held.answers.keys().all(|epoch| *epoch == kept.epoch));
}

/// Locks, dependencies and chains of one session.
pub(super) fn check_variables(session: &SessionRow, variables: &BTreeMap<&str, &VariableRow>) {
    let locked = variables.values().filter(|row| row.lock.is_some());
    let locked: BTreeSet<String> = locked.map(|row| row.name.clone()).collect();
    assert_eq!(session.locked, locked);
    for (name, row) in variables {
        assert_eq!(row.chain.len(), row.version.count_ones() as usize);
        assert!(row.chain.is_sorted_by(|later, earlier| later > earlier));
        for (to, kind) in &row.depends_on {
            assert_eq!(variables[to.as_str()].dependents.get(*name), Some(kind));
        }
        for (from, kind) in &row.dependents {
            assert_eq!(variables[from.as_str()].depends_on.get(*name), Some(kind));
        }
    }
    // What depends on nothing that is left is peeled off, until nothing is left.
    let mut left: BTreeSet<&str> = variables.keys().copied().collect();
    while !left.is_empty() {
        let free = left.iter().copied().find(|name| {
            let depends_on = &variables[name].depends_on;
            depends_on.keys().all(|to| !left.contains(to.as_str()))
        });
        assert!(free.is_some_and(|free| left.remove(free)), "a cycle");
    }
}

/// What is true of events, from the first on.
pub(super) fn check_events(events: &[Event]) {
    let mut revisions: BTreeMap<&str, u64> = BTreeMap::new();
    // Positions of a variable's versions; `None` once it is deleted.
    let mut versions: BTreeMap<&str, Option<Vec<u64>>> = BTreeMap::new();
    let mut optimizations = BTreeSet::new();
    let mut pools: BTreeMap<&str, u64> = BTreeMap::new();
    let mut bound: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut time_ms = 0;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.position, number as u64 + 1);
        assert!(event.time_ms >= time_ms, "time goes back");
        time_ms = event.time_ms;
        let revision = revisions.entry(&event.session_id).or_default();
        *revision += 1;
        assert_eq!(event.revision, *revision);
        match &event.payload {
            Payload::SessionDeleted | Payload::SessionExpired { .. } => {
                revisions.remove(event.session_id.as_str());
                bound.retain(|(session, _), _| *session != event.session_id);
            }
            Payload::PoolPut { name, version, .. } => {
                let before = pools.insert(name, *version).unwrap_or_default();
                assert_eq!(*version, before + 1);
            }
            Payload::PoolRemoved { name, version } => {
                assert_eq!(pools.remove(name.as_str()), Some(*version));
            }
            Payload::WorkerBound { pool, worker, .. } => {
                let before = bound.insert((&event.session_id, pool), worker);
                assert_ne!(before, Some(worker.as_str()), "bound twice");
            }
            Payload::WorkerUnbound { pool, worker, .. } => {
                let before = bound.remove(&(event.session_id.as_str(), pool.as_str()));
                assert_eq!(before, Some(worker.as_str()));
            }
            #[rustfmt::skip]
            Payload::VariableRegistered { id, version, past, .. }
            | Payload::VariableSet { id, version, past, .. }
            | Payload::VariableRolledBack { id, version, past, .. } => {
                let positions = versions.entry(id).or_insert_with(|| Some(Vec::new()));
                let positions = positions.as_mut().expect("a deleted variable's id");
                assert_eq!(*version, positions.len() as u64 + 1, "versions of {id}");
                let at = |version: u64| match version {
                    0 => 0,
                    version => positions[usize::try_from(version).unwrap() - 1],
                };
                let skip = version & (version - 1);
                assert_eq!((past.previous, past.skip), (at(version - 1), at(skip)));
                positions.push(event.position);
            }
            Payload::VariableDeleted { id, version, .. } => {
                let positions = versions.insert(id, None).flatten();
                assert_eq!(positions.map(|all| all.len() as u64), Some(*version));
            }
            Payload::SessionCreated { .. } => assert_eq!(event.revision, 1),
            Payload::OptimizationStarted {
                optimization_id,
                renewed,
                ..
            } => assert_eq!(optimizations.insert(optimization_id), !renewed),
            _ => {}
        }
    }
}
