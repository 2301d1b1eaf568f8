//! Who may read, write and watch a variable.

use snakepit_proto::session::{self, sessions_client::SessionsClient};

use crate::call::{Patience, Repeat};
use crate::{Answer, Client, ClientError};

impl Client {
    /// Give a variable other access rules, a JSON object as in `docs/access.md`; empty lifts all of them.
    ///
    /// # Errors
    ///
    /// `Denied` where the caller may not write the variable.
    pub async fn set_access(
        &self,
        session: &str,
        identifier: &str,
        rules_json: &str,
    ) -> Result<Answer<()>, ClientError> {
        let request = session::SetAccessRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            access_control_json: rules_json.to_owned(),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel).set_access(request).await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|_| ()))
    }
}
