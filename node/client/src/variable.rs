//! Typed variables of a session.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use snakepit_proto::bridge::{self, bridge_service_client::BridgeServiceClient};
use snakepit_proto::times;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::cluster::Page;
use crate::error::from_refusal;
use crate::json::{any_from_json, any_to_json};
use crate::optimization::Lock;
use crate::{Answer, Client, ClientError};

/// Another variable, by name, and the kind of the dependency.
pub use snakepit_proto::bridge::Dependency;

/// A variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variable {
    /// `var_<name>_<n>`.
    pub id: String,
    /// Its name, unique in the session.
    pub name: String,
    /// Its type's name.
    pub type_name: String,
    /// Its value; NaN and the infinities are strings, bytes `{"__snakepit_bytes__": "<base64>"}`.
    pub value: Json,
    /// Its constraints, a JSON object or empty.
    pub constraints_json: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// From 1, one more with each value.
    pub version: u64,
    /// When it was first registered, milliseconds since 1970.
    pub created_ms: u64,
    /// When it got its value, milliseconds since 1970.
    pub updated_ms: u64,
    /// Who may read, write and watch it, a JSON object; empty: everybody.
    pub access_json: String,
    /// The optimization that holds it, where one does.
    pub lock: Option<Lock>,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// What depends on it.
    pub dependents: Vec<Dependency>,
}

impl TryFrom<bridge::Variable> for Variable {
    type Error = ClientError;

    fn try_from(answer: bridge::Variable) -> Result<Self, ClientError> {
        Ok(Self {
            value: any_to_json(answer.value.as_ref(), &answer.binary_value)?,
            id: answer.id,
            name: answer.name,
            type_name: answer.r#type,
            constraints_json: answer.constraints_json,
            metadata: answer.metadata,
            version: version(answer.version),
            created_ms: answer.created_at.as_ref().map_or(0, times::millis),
            updated_ms: answer.last_updated_at.as_ref().map_or(0, times::millis),
            access_json: answer.access_control_json,
            lock: answer
                .optimization_status
                .filter(|lock| lock.optimizing)
                .map(Lock::from),
            dependencies: answer.dependencies,
            dependents: answer.dependents,
        })
    }
}

/// What to register.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// Its type's name, one of those in `docs/values.md`.
    pub type_name: String,
    /// Its first value.
    pub value: Json,
    /// Its constraints, a JSON object or empty.
    pub constraints_json: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Who may read, write and watch it, a JSON object; empty: everybody, or as before where it exists.
    pub access_json: String,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Id of the variable.
    pub id: String,
    /// Its version; 0 where the node did not say.
    pub version: u64,
}

/// One value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    /// The value.
    pub value: Json,
    /// The version that must hold.
    pub expected_version: Option<u64>,
    /// Added to the variable's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Several values at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetMany {
    /// Values by identifier: id or name.
    pub values: BTreeMap<String, Json>,
    /// Versions that must hold, by the same identifiers.
    pub expected_versions: BTreeMap<String, u64>,
    /// Added to the metadata of each.
    pub metadata: BTreeMap<String, String>,
    /// All of them or none.
    pub atomic: bool,
}

/// What became of several values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// New versions, by identifier.
    pub versions: BTreeMap<String, u64>,
    /// Why the others were refused, by identifier.
    pub refused: BTreeMap<String, String>,
}

impl Client {
    /// Register a variable, or register it again.
    pub async fn register_variable(
        &self,
        session: &str,
        registration: Registration,
    ) -> Result<Answer<Registered>, ClientError> {
        let type_name = registration.type_name;
        let (value, payload) = any_from_json(&registration.value, Some(&type_name));
        let request = bridge::RegisterVariableRequest {
            session_id: session.to_owned(),
            name: registration.name,
            initial_value: Some(value),
            initial_binary_value: payload,
            r#type: type_name,
            constraints_json: registration.constraints_json,
            metadata: registration.metadata,
            access_control_json: registration.access_json,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .register_variable(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            if !answer.success {
                return Err(from_refusal(&answer.error_message));
            }
            Ok(Registered {
                id: answer.variable_id,
                version: version(answer.version),
            })
        })
    }

    /// Give a variable a value; its new version. The identifier is its id or name.
    ///
    /// # Errors
    ///
    /// `Conflict` where it is not at the expected version any more.
    pub async fn set_variable(
        &self,
        session: &str,
        identifier: &str,
        value: &Json,
        expected_version: Option<u64>,
    ) -> Result<Answer<u64>, ClientError> {
        let assignment = Assignment {
            value: value.clone(),
            expected_version,
            ..Default::default()
        };
        self.assign_variable(session, identifier, assignment).await
    }

    /// As [`Client::set_variable`], with metadata.
    pub async fn assign_variable(
        &self,
        session: &str,
        identifier: &str,
        assignment: Assignment,
    ) -> Result<Answer<u64>, ClientError> {
        let (value, payload) = any_from_json(&assignment.value, None);
        let expected = assignment.expected_version;
        let request = bridge::SetVariableRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            value: Some(value),
            binary_value: payload,
            expected_version: expected.map_or(Ok(0), wire_version)?,
            metadata: assignment.metadata,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .set_variable(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            if !answer.success {
                return Err(from_refusal(&answer.error_message));
            }
            Ok(version(answer.new_version))
        })
    }

    /// Give several variables values, in one request.
    pub async fn set_variables(
        &self,
        session: &str,
        many: SetMany,
    ) -> Result<Answer<Assigned>, ClientError> {
        let (mut updates, mut binary_updates) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in many.values {
            let (value, payload) = any_from_json(&value, None);
            if !payload.is_empty() {
                binary_updates.insert(name.clone(), payload);
            }
            updates.insert(name, value);
        }
        let expected = many.expected_versions.into_iter();
        let request = bridge::BatchSetVariablesRequest {
            session_id: session.to_owned(),
            updates,
            metadata: many.metadata,
            atomic: many.atomic,
            binary_updates,
            expected_versions: expected
                .map(|(name, version)| Ok((name, wire_version(version)?)))
                .collect::<Result<_, ClientError>>()?,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .set_variables(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| Assigned {
            versions: answer
                .new_versions
                .into_iter()
                .map(|(name, v)| (name, version(v)))
                .collect(),
            refused: answer.errors,
        }))
    }

    /// A variable by id or name.
    ///
    /// # Errors
    ///
    /// `NotFound` where the session or the variable does not exist.
    pub async fn get_variable(
        &self,
        session: &str,
        identifier: &str,
    ) -> Result<Answer<Variable>, ClientError> {
        let request = bridge::GetVariableRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            bypass_cache: false,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .get_variable(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            let missing = || ClientError::NotFound(format!("variable not found: {identifier}"));
            Variable::try_from(answer.variable.ok_or_else(missing)?)
        })
    }

    /// Several variables at the same log index, by the identifiers they were asked for; those that do not
    /// exist are left out.
    pub async fn get_variables(
        &self,
        session: &str,
        identifiers: &[&str],
    ) -> Result<Answer<BTreeMap<String, Variable>>, ClientError> {
        let request = bridge::BatchGetVariablesRequest {
            session_id: session.to_owned(),
            variable_identifiers: identifiers
                .iter()
                .map(|&identifier| identifier.into())
                .collect(),
            include_metadata: true,
            bypass_cache: false,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .get_variables(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            let found = answer.variables.into_iter();
            found
                .map(|(name, variable)| Ok((name, Variable::try_from(variable)?)))
                .collect()
        })
    }

    /// One page of a session's variables, in the order of their names. `pattern` is a glob over the name,
    /// empty for all; `page_size` 0 leaves it to the node.
    pub async fn list_variables(
        &self,
        session: &str,
        pattern: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<Answer<Page<Variable>>, ClientError> {
        let request = bridge::ListVariablesRequest {
            session_id: session.to_owned(),
            pattern: pattern.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .list_variables(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            let items = answer.variables.into_iter().map(Variable::try_from);
            Ok(Page {
                items: items.collect::<Result<_, ClientError>>()?,
                next: answer.next_page_token,
            })
        })
    }

    /// Delete a variable.
    ///
    /// # Errors
    ///
    /// `NotFound` where the session or the variable does not exist.
    pub async fn delete_variable(
        &self,
        session: &str,
        identifier: &str,
    ) -> Result<Answer<()>, ClientError> {
        let request = bridge::DeleteVariableRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .delete_variable(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            if answer.success {
                Ok(())
            } else {
                Err(from_refusal(&answer.error_message))
            }
        })
    }
}

/// A version of an answer.
pub(crate) fn version(wire: i32) -> u64 {
    u64::try_from(wire).unwrap_or(0)
}

/// A version that a request names.
pub(crate) fn wire_version(version: u64) -> Result<i32, ClientError> {
    i32::try_from(version)
        .ok()
        .filter(|version| *version > 0)
        .ok_or_else(|| {
            let message = format!("there is no version {version}; hint: versions begin at 1");
            ClientError::Invalid(message)
        })
}
