//! The second half of a replay: the rows that events leave.

use std::collections::BTreeMap;

use foldhash::HashMap;
use snakepit_machine::{
    Answer, Event, MemoryRows, Row, RowKey, RowPrefix, Rows, RowsError, RowsMut,
};

use super::ReplayError;
use super::answers::Answers;
use crate::codec::keys::{self, RowColumn};
use crate::codec::row;
use crate::error::CodecError;
use crate::state_store::{RowsDigest, RowsDigester, StoredEvent};

/// Rows of a replay. Nearly every event changes the head, its session and a variable, and keeps an answer, so that
/// these are found by hash instead of in order. Kept answers, which no event reads, are held as the bytes that
/// the digest takes.
#[derive(Debug, Default)]
pub struct ReplayedRows {
    head: Option<Row>,
    /// By id; kept answers of no session are under the empty one.
    sessions: HashMap<String, SessionRows>,
    others: MemoryRows,
    /// The first row that could not be encoded.
    failed: Option<CodecError>,
}

#[derive(Debug, Default)]
struct SessionRows {
    row: Option<Row>,
    variables: HashMap<String, Row>,
    /// By epoch.
    answers: BTreeMap<u64, Answers>,
}

impl ReplayedRows {
    /// Decode the next event and fold it.
    pub(super) fn feed(&mut self, stored: &StoredEvent) -> Result<Event, ReplayError> {
        let position = stored.position;
        let event = snakepit_proto::events::decode(&stored.bytes).map_err(|error| {
            ReplayError::Undecodable {
                position,
                reason: error.to_string(),
            }
        })?;
        if event.position != position {
            return Err(ReplayError::Misplaced {
                position,
                content: event.position,
            });
        }
        snakepit_machine::replay(self, &event)
            .map_err(|source| ReplayError::Unfoldable { position, source })?;
        match self.failed.take() {
            None => Ok(event),
            Some(error) => Err(error.into()),
        }
    }

    /// A copy of all rows but kept answers.
    pub fn without_answers(&self) -> MemoryRows {
        let mut rows = self.others.clone();
        for (key, row) in self.found_by_hash() {
            rows.put(key, row.clone());
        }
        rows
    }

    /// A copy of all rows.
    pub(crate) fn to_memory(&self) -> Result<MemoryRows, CodecError> {
        let mut rows = self.without_answers();
        for (session_id, session) in &self.sessions {
            for (epoch, answers) in &session.answers {
                for (request_id, bytes) in answers.iter() {
                    let key = RowKey::Request(session_id.clone(), *epoch, request_id.to_owned());
                    rows.put(key, row::decode(bytes)?);
                }
            }
        }
        Ok(rows)
    }

    fn found_by_hash(&self) -> impl Iterator<Item = (RowKey, &Row)> {
        let head = self.head.iter().map(|row| (RowKey::Head, row));
        head.chain(self.sessions.iter().flat_map(|(id, session)| {
            let row = session.row.iter();
            let variables = session.variables.iter();
            row.map(|row| (RowKey::Session(id.clone()), row)).chain(
                variables.map(|(name, row)| (RowKey::Variable(id.clone(), name.clone()), row)),
            )
        }))
    }

    /// Digest of the rows.
    pub fn digest(&self) -> Result<RowsDigest, CodecError> {
        let mut rows = Vec::new();
        for (key, row) in self.found_by_hash() {
            rows.push((keys::row_key(&key)?, row));
        }
        for (key, row) in self.others.iter() {
            rows.push((keys::row_key(key)?, row));
        }
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let behind = rows.partition_point(|((column, _), _)| *column < RowColumn::Requests);
        let mut digester = RowsDigester::default();
        for ((column, key), row) in &rows[..behind] {
            digester.row(*column, key, &row::encode(row)?);
        }
        self.digest_answers(&mut digester)?;
        for ((column, key), row) in &rows[behind..] {
            digester.row(*column, key, &row::encode(row)?);
        }
        Ok(digester.finish())
    }

    fn digest_answers(&self, digester: &mut RowsDigester) -> Result<(), CodecError> {
        let mut sessions = Vec::with_capacity(self.sessions.len());
        for (session_id, session) in &self.sessions {
            let (_, prefix) = keys::row_prefix(&RowPrefix::Requests(session_id.clone()))?;
            sessions.push((prefix, session_id, &session.answers));
        }
        sessions.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (_, session_id, epochs) in sessions {
            for (epoch, answers) in epochs {
                let mut sorted: Vec<(&str, &[u8])> = answers.iter().collect();
                // Stable: of two answers to the same request the later one counts.
                sorted.sort_by(|a, b| a.0.cmp(b.0));
                for (at, (request_id, bytes)) in sorted.iter().enumerate() {
                    let next = sorted.get(at + 1);
                    if next.is_some_and(|next| next.0 == *request_id) {
                        continue;
                    }
                    let key = keys::request::encode(session_id, *epoch, request_id)?;
                    digester.row(RowColumn::Requests, &key, bytes);
                }
            }
        }
        Ok(())
    }

    /// A row of those that are found by hash, kept answers apart.
    fn plain(&self, key: &RowKey) -> Option<&Row> {
        match key {
            RowKey::Head => self.head.as_ref(),
            RowKey::Session(id) => self.sessions.get(id)?.row.as_ref(),
            RowKey::Variable(id, name) => self.sessions.get(id)?.variables.get(name),
            _ => None,
        }
    }

    fn plain_mut(&mut self, key: &RowKey) -> Option<&mut Row> {
        match key {
            RowKey::Head => self.head.as_mut(),
            RowKey::Session(id) => self.sessions.get_mut(id)?.row.as_mut(),
            RowKey::Variable(id, name) => self.sessions.get_mut(id)?.variables.get_mut(name),
            _ => None,
        }
    }

    fn session_mut(&mut self, id: String) -> &mut SessionRows {
        self.sessions.entry(id).or_default()
    }
}

impl From<&MemoryRows> for ReplayedRows {
    fn from(rows: &MemoryRows) -> Self {
        let mut replayed = Self::default();
        for (key, row) in rows.iter() {
            replayed.put(key.clone(), row.clone());
        }
        replayed
    }
}

impl Rows for ReplayedRows {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        let RowKey::Request(session_id, epoch, request_id) = key else {
            return match key {
                RowKey::Head | RowKey::Session(_) | RowKey::Variable(..) => {
                    Ok(self.plain(key).cloned())
                }
                _ => self.others.get(key),
            };
        };
        let session = self.sessions.get(session_id);
        let answers = session.and_then(|session| session.answers.get(epoch));
        let kept = answers.and_then(|answers| answers.get(request_id));
        let decoded = kept.map(row::decode).transpose();
        decoded.map_err(|error| RowsError {
            key: format!("{key:?}"),
            reason: error.to_string(),
        })
    }
}

impl RowsMut for ReplayedRows {
    fn put(&mut self, key: RowKey, row: Row) {
        if let Some(held) = self.plain_mut(&key) {
            *held = row;
            return;
        }
        match key {
            RowKey::Head => self.head = Some(row),
            RowKey::Session(id) => self.session_mut(id).row = Some(row),
            RowKey::Variable(id, name) => {
                self.session_mut(id).variables.insert(name, row);
            }
            RowKey::Request(id, epoch, request_id) => {
                if let Row::Request(answer) = row {
                    self.keep(&id, epoch, &request_id, &answer);
                }
            }
            other => self.others.put(other, row),
        }
    }

    fn delete(&mut self, key: RowKey) {
        match key {
            RowKey::Head => self.head = None,
            RowKey::Session(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.row = None;
                }
            }
            RowKey::Variable(id, name) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.variables.remove(&name);
                }
            }
            RowKey::Request(id, epoch, request_id) => {
                let session = self.sessions.get_mut(&id);
                if let Some(answers) = session.and_then(|of| of.answers.get_mut(&epoch)) {
                    answers.remove(&request_id);
                }
            }
            other => self.others.delete(other),
        }
    }

    fn clear(&mut self, prefix: RowPrefix) {
        let (RowPrefix::Variables(id) | RowPrefix::Requests(id) | RowPrefix::RequestEpoch(id, _)) =
            &prefix
        else {
            return self.others.clear(prefix);
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        match &prefix {
            RowPrefix::RequestEpoch(_, epoch) => {
                session.answers.remove(epoch);
            }
            RowPrefix::Requests(_) => session.answers.clear(),
            _ => session.variables.clear(),
        }
        // The last that is taken from a session that has ended.
        if session.row.is_none() && session.variables.is_empty() && session.answers.is_empty() {
            let id = id.clone();
            self.sessions.remove(&id);
        }
    }

    fn keep(&mut self, session_id: &str, epoch: u64, request_id: &str, answer: &Answer) {
        let session = match self.sessions.get_mut(session_id) {
            Some(session) => session,
            None => self.session_mut(session_id.to_owned()),
        };
        let answers = session.answers.entry(epoch).or_default();
        if let Err(error) = answers.push(request_id, answer) {
            self.failed = Some(error);
        }
    }

    /// Leaves something in the row's place: after an error these rows are of no use any more.
    fn take(&mut self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        match self.plain_mut(key) {
            Some(held) => Ok(Some(std::mem::replace(held, Row::Deadline))),
            None => self.get(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(session: &str, epoch: u64, id: &str) -> RowKey {
        RowKey::Request(session.into(), epoch, id.into())
    }

    fn answer(version: u64) -> Row {
        Row::Request(Answer::ProgramPut { version })
    }

    /// Answers that are held as bytes are the rows that they were.
    #[test]
    fn kept_answers_are_rows_like_others() {
        let mut rows = ReplayedRows::default();
        let mut memory = MemoryRows::default();
        let mut put = |rows: &mut ReplayedRows, key: RowKey, row: Row| {
            memory.put(key.clone(), row.clone());
            rows.put(key, row);
        };
        for (number, (session, epoch, id)) in [
            ("b", 1, "z"),
            ("", 0, "long session"),
            ("aa", 0, "x"),
            ("b", 0, "y"),
            ("b", 1, "a"),
            ("b", 1, "z"),
        ]
        .into_iter()
        .enumerate()
        {
            put(
                &mut rows,
                request(session, epoch, id),
                answer(number as u64),
            );
        }
        put(&mut rows, RowKey::Deadline(7, "b".into()), Row::Deadline);
        put(&mut rows, RowKey::Head, Row::Head(Default::default()));
        assert_eq!(rows.get(&request("b", 1, "z")).unwrap(), Some(answer(5)));
        assert_eq!(rows.get(&request("b", 1, "y")).unwrap(), None);
        assert_eq!(rows.to_memory().unwrap(), memory);
        let same = ReplayedRows::from(&memory);
        assert_eq!(rows.digest().unwrap(), same.digest().unwrap());
        assert_eq!(rows.digest().unwrap().rows, 7);

        for gone in [
            RowPrefix::RequestEpoch("b".into(), 1),
            RowPrefix::Requests("aa".into()),
        ] {
            rows.clear(gone.clone());
            memory.clear(gone);
            assert_eq!(rows.to_memory().unwrap(), memory);
        }
        rows.delete(request("", 0, "long session"));
        memory.delete(request("", 0, "long session"));
        assert_eq!(rows.to_memory().unwrap(), memory);
    }
}
