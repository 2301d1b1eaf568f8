//! Sealed sessions: what they hold is encrypted before it is proposed, and opened when it is read. All that is proposed goes
//! through [`Node::sealed`].

use std::sync::Arc;

use snakepit_machine::decide::admit_plain;
use snakepit_machine::{
    Body, CallEnd, CallStart, Checked, Limits, Rejection, RowsExt as _, SEALED_PREFIX, Sealed,
    SetVariable, Value, VariableRow,
};
use snakepit_proto::events;

use super::{Ask, Failure, Node};
use crate::keys::{Key, KeyId, KeyStore};

/// In front of bytes of a call that are sealed.
const SEALED_BYTES: &[u8] = b"snakepit-sealed/1\0";
/// Said instead of a value's own fault, which would tell something of the value to the log.
const UNFIT: &str =
    "the value does not fit the type or the constraints; hint: set it alone to see why";

/// Whether a session's values are sealed.
pub(super) fn is_sealed(session_id: &str) -> bool {
    session_id.starts_with(SEALED_PREFIX)
}

/// Opens what this node has the keys of.
#[derive(Clone, Debug)]
pub(super) struct Opener(pub Arc<KeyStore>);

impl Opener {
    /// A value in plain text. `place` is of whom it is: see [`variable_place`] and [`program_place`].
    pub(super) fn open<'a>(
        &self,
        place: &[u8],
        value: &'a Value,
    ) -> Result<std::borrow::Cow<'a, Value>, Failure> {
        let Value::Sealed(sealed) = value else {
            return Ok(std::borrow::Cow::Borrowed(value));
        };
        let plain = self.key(&sealed.key_id)?.open(place, &sealed.data);
        let plain = plain.map_err(damaged)?;
        let value = events::decode_value(&plain).map_err(damaged)?;
        Ok(std::borrow::Cow::Owned(value))
    }

    fn key(&self, key_id: &str) -> Result<Arc<Key>, Failure> {
        let id: KeyId = key_id.parse().map_err(damaged)?;
        self.0.get(&id).ok_or_else(|| {
            Failure::Refused(format!(
                "the value is sealed with key {id}, which is not on this node: it was destroyed, or did not come here yet; hint: if its subject is not erased, retry"
            ))
        })
    }
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::Storage(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        format!("a sealed value cannot be opened: {error}"),
    ))
}

/// Where a variable's values belong.
pub(super) fn variable_place(session_id: &str, name: &str) -> Vec<u8> {
    place("variable", session_id, name)
}

/// Where a program's content belongs.
pub(super) fn program_place(session_id: &str, program_id: &str) -> Vec<u8> {
    place("program", session_id, program_id)
}

fn place(what: &str, session_id: &str, name: &str) -> Vec<u8> {
    let mut place = what.as_bytes().to_vec();
    for part in [session_id, name] {
        place.extend_from_slice(&(part.len() as u64).to_le_bytes());
        place.extend_from_slice(part.as_bytes());
    }
    place
}

fn seal(key: &Key, place: &[u8], value: &Value, checked: Option<Box<Checked>>) -> Value {
    Value::Sealed(Sealed {
        key_id: key.id().to_string(),
        data: key.seal(place, &events::encode_value(value)),
        checked,
    })
}

/// Seals values for variables of one session.
struct Sealer<'a> {
    key: &'a Key,
    session_id: &'a str,
    limits: Limits,
}

impl Sealer<'_> {
    fn variable(
        &self,
        name: &str,
        type_name: &str,
        constraints_json: &str,
        value: Value,
    ) -> Result<Value, Rejection> {
        let value = admit_plain(name, type_name, constraints_json, value, &self.limits)?;
        let checked = Checked {
            type_name: type_name.to_owned(),
            constraints_json: constraints_json.to_owned(),
        };
        let place = variable_place(self.session_id, name);
        Ok(seal(self.key, &place, &value, Some(Box::new(checked))))
    }

    fn held(&self, row: &VariableRow, value: Value) -> Result<Value, Rejection> {
        self.variable(&row.name, &row.type_name, &row.constraints_json, value)
    }
}

impl Node {
    /// Opens what this node has the keys of.
    pub(super) fn opener(&self) -> Opener {
        Opener(self.keys.clone())
    }

    /// The key of a session, got from another node where this one does not have it; `None` where the session is not sealed
    /// or not there.
    pub(super) async fn key_of(
        &self,
        ask: &Ask,
        session_id: &str,
    ) -> Result<Option<Arc<Key>>, Failure> {
        if !is_sealed(session_id) {
            return Ok(None);
        }
        // Apart, as below: what nearly no request does must not make the futures of all larger.
        Box::pin(self.key_of_sealed(ask, session_id)).await
    }

    async fn key_of_sealed(
        &self,
        ask: &Ask,
        session_id: &str,
    ) -> Result<Option<Arc<Key>>, Failure> {
        let mut subject = self.subject_of(session_id)?;
        if subject.is_none() {
            // It may have begun a moment ago, on another node.
            self.barrier(ask).await?;
            subject = self.subject_of(session_id)?;
        }
        match subject {
            Some(subject) => self.key_of_subject(&subject).await.map(Some),
            None => Ok(None),
        }
    }

    /// The keys that a session's past was sealed with, fetched where they are not here: of the subjects that it had.
    pub(super) async fn past_key_of(&self, ask: &Ask, session_id: &str) -> Result<(), Failure> {
        if !is_sealed(session_id) || self.key_of(ask, session_id).await?.is_some() {
            return Ok(());
        }
        // It has ended: whatever is missing is got.
        self.settle_keys().await.map(drop)
    }

    fn subject_of(&self, session_id: &str) -> Result<Option<String>, Failure> {
        let session = self.state.rows().session(session_id)?;
        Ok(session.map(|session| session.subject.clone()))
    }

    /// A command as it may be logged: what a sealed session is to hold is sealed.
    pub(super) async fn sealed(&self, ask: &Ask, body: Body) -> Result<Body, Failure> {
        let session_id = match &body {
            Body::StartCall(CallStart { of_session, .. })
            | Body::EndCall(CallEnd { of_session, .. }) => of_session.clone(),
            Body::PutChunks(chunks) => chunks.of_session.clone(),
            other => other.session_id().to_owned(),
        };
        if !is_sealed(&session_id) {
            return Ok(body);
        }
        Box::pin(self.seal(ask, session_id, body)).await
    }

    async fn seal(&self, ask: &Ask, session_id: String, body: Body) -> Result<Body, Failure> {
        if let Body::ImportSession(mut body) = body {
            let key = self.key_of_subject(&body.subject).await?;
            let sealer = self.sealer(&key, &session_id);
            for (name, variable) in &mut body.variables {
                let value = std::mem::replace(&mut variable.value, Value::Null);
                variable.value = sealer.variable(
                    name,
                    &variable.type_name,
                    &variable.constraints_json,
                    value,
                )?;
            }
            for (id, program) in &mut body.programs {
                program.value = seal(&key, &program_place(&session_id, id), &program.value, None);
            }
            return Ok(Body::ImportSession(body));
        }
        if !holds_values(&body) {
            return Ok(body);
        }
        let Some(key) = self.key_of(ask, &session_id).await? else {
            return Err(Rejection::no_session(&session_id).into());
        };
        let sealer = self.sealer(&key, &session_id);
        Ok(match body {
            Body::RegisterVariable(mut body) => {
                body.value = sealer.variable(
                    &body.name,
                    &body.type_name,
                    &body.constraints_json,
                    body.value,
                )?;
                Body::RegisterVariable(body)
            }
            Body::SetVariables(mut body) => {
                let alone = body.updates.len() == 1;
                for update in &mut body.updates {
                    let row = self
                        .variable_row(ask, &session_id, &update.identifier)
                        .await?;
                    set(&sealer, row, update, alone)?;
                }
                Body::SetVariables(body)
            }
            Body::RollbackVariable(mut body) => {
                let row = self.variable_row(ask, &session_id, &body.id).await?;
                let row = row.ok_or_else(|| Rejection::no_variable(&body.id))?;
                let place = variable_place(&session_id, &row.name);
                let value = self.opener().open(&place, &body.value)?.into_owned();
                body.value = sealer.held(&row, value)?;
                Body::RollbackVariable(body)
            }
            Body::PutProgram(mut body) => {
                let place = program_place(&session_id, &body.program_id);
                body.value = seal(&key, &place, &body.value, None);
                Body::PutProgram(body)
            }
            Body::StartCall(mut body) => {
                body.arguments = seal_bytes(&key, &body.call_id, &body.arguments);
                body.arguments_digest = key.digest(&body.arguments_digest);
                Body::StartCall(body)
            }
            Body::EndCall(mut body) => {
                body.result = seal_bytes(&key, &body.call_id, &body.result);
                body.result_digest = key.digest(&body.result_digest);
                Body::EndCall(body)
            }
            Body::PutChunks(mut body) => {
                for chunk in &mut body.chunks {
                    *chunk = seal_bytes(&key, &body.call_id, chunk);
                }
                Body::PutChunks(body)
            }
            other => other,
        })
    }

    fn sealer<'a>(&self, key: &'a Key, session_id: &'a str) -> Sealer<'a> {
        Sealer {
            key,
            session_id,
            limits: self.settings.limits.machine_limits(),
        }
    }

    /// A variable, also where this node lags.
    async fn variable_row(
        &self,
        ask: &Ask,
        session_id: &str,
        identifier: &str,
    ) -> Result<Option<Arc<VariableRow>>, Failure> {
        if let Some(row) = self.state.rows().variable(session_id, identifier)? {
            return Ok(Some(row));
        }
        self.barrier(ask).await?;
        Ok(self.state.rows().variable(session_id, identifier)?)
    }

    /// Bytes of a call in plain text, as [`Self::sealed`] has sealed them.
    pub(super) async fn open_bytes(
        &self,
        ask: &Ask,
        session_id: &str,
        call_id: &str,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let Some(sealed) = bytes.strip_prefix(SEALED_BYTES) else {
            return Ok(bytes);
        };
        let Some(key) = self.key_of(ask, session_id).await? else {
            return Err(Failure::Refused(
                "what the call returned is sealed, and its session has ended; hint: run it again with another key".into(),
            ));
        };
        key.open(call_id.as_bytes(), sealed).map_err(damaged)
    }

    /// A digest as the log has it for a session.
    pub(super) async fn logged_digest(
        &self,
        ask: &Ask,
        session_id: &str,
        digest: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        Ok(match self.key_of(ask, session_id).await? {
            Some(key) => key.digest(&digest),
            None => digest,
        })
    }
}

fn holds_values(body: &Body) -> bool {
    matches!(
        body,
        Body::RegisterVariable(_)
            | Body::SetVariables(_)
            | Body::RollbackVariable(_)
            | Body::PutProgram(_)
            | Body::StartCall(_)
            | Body::EndCall(_)
            | Body::PutChunks(_)
    )
}

/// Seal one value of a batch. What is wrong with it is told at once where it stands alone, and in general terms where it is
/// for the machine to refuse.
fn set(
    sealer: &Sealer<'_>,
    row: Option<Arc<VariableRow>>,
    update: &mut SetVariable,
    alone: bool,
) -> Result<(), Failure> {
    let unfit = || Err(UNFIT.to_owned());
    let value = std::mem::replace(&mut update.value, unfit());
    let sealed = match (row, value) {
        // The machine says that there is none.
        (None, _) => return Ok(()),
        (Some(_), Err(reason)) => Err(Rejection::invalid(reason)),
        (Some(row), Ok(value)) => sealer.held(&row, value),
    };
    match sealed {
        Ok(value) => update.value = Ok(value),
        Err(rejection) if alone => return Err(rejection.into()),
        Err(_) => {}
    }
    Ok(())
}

fn seal_bytes(key: &Key, call_id: &str, bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [SEALED_BYTES, &key.seal(call_id.as_bytes(), bytes)].concat()
}
