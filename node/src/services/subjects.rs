//! Subjects: their keys are made, handed out among the nodes, and destroyed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use snakepit_machine::{Answer, Body, EraseSubject, PutSubject, Rejection, RowsExt as _};
use snakepit_proto::session;
use tokio_util::sync::CancellationToken;

use super::{Ask, Failure, Node};
use crate::keys::{Key, KeyId};

/// Time between two looks at the subjects.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Age after which a key that no subject has is destroyed: its subject never came to be.
const UNUSED_KEPT: Duration = Duration::from_secs(3_600);
/// Subjects that are read at once.
const READ_ROWS: usize = 1_024;
/// Subjects of one page, where the request says nothing, and at most.
const PAGE: usize = 1_000;

impl Node {
    /// The key of a subject, made where the subject is new: a majority of the nodes has it on disk before anything is
    /// sealed with it.
    pub(super) async fn subject_key(&self, ask: &Ask, subject: &str) -> Result<Arc<Key>, Failure> {
        if subject.is_empty() {
            return Err(Rejection::invalid(
                "a sealed session needs a subject; hint: name whose values it will hold",
            )
            .into());
        }
        self.barrier(ask).await?;
        if self.state.rows().subject(subject)?.is_none() {
            let key = Key::generate();
            let id = key.id().clone();
            let bytes = key.bytes().to_vec();
            let keys = self.keys.clone();
            tokio::task::spawn_blocking(move || keys.put(key))
                .await
                .map_err(std::io::Error::other)??;
            self.hand_out(&bytes).await?;
            let body = Body::PutSubject(PutSubject {
                name: subject.to_owned(),
                key_id: id.to_string(),
            });
            let mut origin = ask.origin.as_ref().clone();
            origin.request_id.clear();
            let (index, _) = self.propose_as(ask, origin, body).await?;
            self.applied(ask, index).await?;
        }
        self.key_of_subject(subject).await
    }

    /// Have most nodes keep a key, this one included.
    async fn hand_out(&self, key: &[u8]) -> Result<(), Failure> {
        let members = self.group.status().members;
        let voters: Vec<u64> = members
            .iter()
            .filter(|member| member.voter)
            .map(|member| member.id)
            .collect();
        let others = voters.iter().filter(|id| **id != self.id());
        let kept = join_all(others.map(|id| self.peers.put_key(*id, key))).await;
        let kept = 1 + kept.iter().filter(|kept| kept.is_ok()).count();
        if kept > voters.len() / 2 {
            return Ok(());
        }
        Err(Failure::Unavailable(format!(
            "the key of a new subject is on {kept} of {} nodes only; hint: not done, retry when more nodes are up",
            voters.len()
        )))
    }

    /// The key of a subject that is known, from this node or another.
    pub(super) async fn key_of_subject(&self, subject: &str) -> Result<Arc<Key>, Failure> {
        let row = self.state.rows().subject(subject)?.ok_or_else(|| {
            Rejection::refused(format!(
                "subject {subject} has no key; hint: create its session again"
            ))
        })?;
        if row.erased_ms != 0 {
            return Err(Rejection::refused(format!(
                "the values of subject {subject} were erased; hint: begin a session of another subject"
            ))
            .into());
        }
        let id: KeyId = row
            .key_id
            .parse()
            .map_err(|error: String| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
        if let Some(key) = self.keys.get(&id) {
            return Ok(key);
        }
        self.fetch_key(&id).await?.ok_or_else(|| {
            Failure::Unavailable(format!(
                "the key of subject {subject} is on no node that answers; hint: bring the other nodes up, and retry"
            ))
        })
    }

    /// Get a key from whoever has it, and keep it.
    async fn fetch_key(&self, id: &KeyId) -> Result<Option<Arc<Key>>, Failure> {
        for member in self.group.status().members {
            if member.id == self.id() {
                continue;
            }
            let Ok(Some(bytes)) = self.peers.get_key(member.id, id).await else {
                continue;
            };
            if let Some(key) = Key::from_bytes(&bytes).filter(|key| key.id() == id) {
                let keys = self.keys.clone();
                let kept = tokio::task::spawn_blocking(move || keys.put(key)).await;
                return Ok(Some(kept.map_err(std::io::Error::other)??));
            }
        }
        Ok(None)
    }

    /// Destroy the key of a subject, here and on all nodes; whether there was one, and the nodes that have not said that
    /// theirs is gone.
    pub(super) async fn erase_subject(
        &self,
        ask: &Ask,
        subject: String,
    ) -> Result<(u64, session::EraseSubjectResponse), Failure> {
        let body = Body::EraseSubject(EraseSubject {
            name: subject.clone(),
        });
        let (index, Answer::Done { existed }) = self.propose(ask, body).await? else {
            return Err(super::bridge::misfit());
        };
        self.applied(ask, index).await?;
        self.settle_keys().await?;
        let row = self.state.rows().subject(&subject)?;
        let id = row.and_then(|row| row.key_id.parse::<KeyId>().ok());
        let mut pending = Vec::new();
        if let Some(id) = id {
            for member in self.group.status().members {
                if member.id != self.id() && !self.peers.drop_key(member.id, &id).await {
                    pending.push(member.id);
                }
            }
        }
        Ok((
            index,
            session::EraseSubjectResponse {
                erased: existed,
                pending_nodes: pending,
            },
        ))
    }

    /// Subjects in the order of their names.
    pub(super) async fn list_subjects(
        &self,
        ask: &Ask,
        request: session::ListSubjectsRequest,
    ) -> Result<(u64, session::ListSubjectsResponse), Failure> {
        let size = match usize::try_from(request.page_size) {
            Ok(0) => PAGE,
            Ok(size) if size <= PAGE => size,
            _ => {
                return Err(Failure::Invalid(format!(
                    "page_size is {}; hint: give 1 to {PAGE}, or 0 for {PAGE}",
                    request.page_size
                )));
            }
        };
        let index = self.barrier(ask).await?.index;
        let after = (!request.page_token.is_empty()).then_some(request.page_token);
        let rows = self
            .blocking(move |state| {
                state.with_view(|view| view.list_subjects(after.as_deref(), size + 1))
            })
            .await?;
        let more = rows.len() > size;
        let subjects: Vec<_> = rows
            .into_iter()
            .take(size)
            .map(|row| session::Subject {
                name: row.name,
                key_id: row.key_id,
                created_ms: row.created_ms,
                erased_ms: row.erased_ms,
            })
            .collect();
        let next = subjects.last().filter(|_| more);
        let next_page_token = next.map(|last| last.name.clone()).unwrap_or_default();
        Ok((
            index,
            session::ListSubjectsResponse {
                subjects,
                next_page_token,
            },
        ))
    }

    /// Have the keys of all subjects that are not erased, and no others, until `stop`.
    pub async fn keep_keys(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = None;
        let mut rounds = 0_u64;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let position = self.state.head().subjects_position;
            rounds += 1;
            // Keys that no subject has are looked for now and then.
            if seen == Some(position) && !rounds.is_multiple_of(600) {
                continue;
            }
            match self.settle_keys().await {
                Ok(true) => seen = Some(position),
                Ok(false) => {}
                Err(failure) => {
                    tracing::error!(?failure, "the keys of subjects cannot be looked after")
                }
            }
        }
    }

    /// Destroy the keys of erased subjects and get those that are missing; whether all are here.
    pub(super) async fn settle_keys(&self) -> Result<bool, Failure> {
        let mut known = std::collections::BTreeSet::new();
        let mut missing = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let from = after.clone();
            let rows = self
                .blocking(move |state| {
                    state.with_view(|view| view.list_subjects(from.as_deref(), READ_ROWS))
                })
                .await?;
            let last = rows.len() < READ_ROWS;
            after = rows.last().map(|row| row.name.clone());
            for row in rows {
                let Ok(id) = row.key_id.parse::<KeyId>() else {
                    continue;
                };
                if row.erased_ms != 0 {
                    if self.keys.destroy(&id)? {
                        tracing::info!(subject = row.name, key = %id, "a key was destroyed");
                    }
                } else if self.keys.get(&id).is_none() {
                    missing.push(id);
                } else {
                    known.insert(id);
                }
            }
            if last {
                break;
            }
        }
        for (id, written) in self.keys.list() {
            let unused = !known.contains(&id) && !missing.contains(&id);
            if unused && written.elapsed().is_ok_and(|age| age > UNUSED_KEPT) {
                self.keys.destroy(&id)?;
            }
        }
        let mut all = true;
        for id in missing {
            all &= self.fetch_key(&id).await?.is_some();
        }
        Ok(all)
    }
}
