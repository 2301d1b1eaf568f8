//! Copies of whole sessions.

use snakepit_proto::session::{self, sessions_client::SessionsClient};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::{Answer, Client, ClientError};

/// A session as it was at one moment, arrays bit for bit.
pub use snakepit_proto::session::SessionExport;

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As it is.
    Now,
    /// After the event at a position of the log.
    Position(u64),
    /// At a time, milliseconds since 1970.
    TimeMs(u64),
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The new session.
    pub session: String,
    /// Variables that it holds.
    pub variables: u64,
    /// Programs that it holds.
    pub programs: u64,
}

impl Client {
    /// A session as it is at one moment.
    ///
    /// # Errors
    ///
    /// `Denied` where one of its variables may not be read, `Exhausted` where it does not fit one message.
    pub async fn export_session(&self, id: &str) -> Result<Answer<SessionExport>, ClientError> {
        self.export_session_at(id, Moment::Now).await
    }

    /// A session as it was at a moment of the log; also one that has ended since.
    ///
    /// # Errors
    ///
    /// As [`Self::export_session`]; `Invalid` where the moment has not been yet.
    pub async fn export_session_at(
        &self,
        id: &str,
        moment: Moment,
    ) -> Result<Answer<SessionExport>, ClientError> {
        let (at_position, at_ms) = match moment {
            Moment::Now => (0, 0),
            Moment::Position(position) => (position, 0),
            Moment::TimeMs(time_ms) => (0, time_ms),
        };
        let request = session::ExportSessionRequest {
            session_id: id.to_owned(),
            at_position,
            at_ms,
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .export_session(request)
                .await
        };
        self.clone()
            .with_raw_arrays()
            .call(Repeat::Read, Patience::Whole, request, send)
            .await
    }

    /// Make a new session of an export, all of it or nothing; under its own id where `id` is empty.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` where there is a session of that id.
    pub async fn import_session(
        &self,
        id: &str,
        export: SessionExport,
    ) -> Result<Answer<Imported>, ClientError> {
        let request = session::ImportSessionRequest {
            session_id: id.to_owned(),
            export: Some(export),
            // That of the export, where it is of a sealed session.
            subject: String::new(),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel).import_session(request).await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Whole, request, send)
            .await?;
        Ok(answer.map(|answer| Imported {
            session: answer.session_id,
            variables: u64::try_from(answer.variables).unwrap_or(0),
            programs: u64::try_from(answer.programs).unwrap_or(0),
        }))
    }
}
