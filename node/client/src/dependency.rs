//! Dependencies between variables.

use snakepit_proto::bridge::{self, bridge_service_client::BridgeServiceClient};
use snakepit_proto::session::{self, sessions_client::SessionsClient};

use crate::call::{Patience, Repeat};
use crate::error::from_refusal;
use crate::{Answer, Client, ClientError};

impl Client {
    /// Let `from` depend on `to`. `kind` is `derives`, `requires` or `relates`, empty for the first; where the
    /// dependency is there, it gets this kind.
    ///
    /// # Errors
    ///
    /// `Refused` where it would close a cycle.
    pub async fn add_dependency(
        &self,
        session: &str,
        from: &str,
        to: &str,
        kind: &str,
    ) -> Result<Answer<()>, ClientError> {
        let request = bridge::AddDependencyRequest {
            session_id: session.to_owned(),
            from_variable: from.to_owned(),
            to_variable: to.to_owned(),
            dependency_type: kind.to_owned(),
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .add_dependency(request)
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

    /// Let `from` depend on `to` no more; false where it did not.
    pub async fn remove_dependency(
        &self,
        session: &str,
        from: &str,
        to: &str,
    ) -> Result<Answer<bool>, ClientError> {
        let request = session::RemoveDependencyRequest {
            session_id: session.to_owned(),
            from_variable: from.to_owned(),
            to_variable: to.to_owned(),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel)
                .remove_dependency(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.existed))
    }
}
