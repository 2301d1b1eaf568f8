//! Subjects: whose values sealed sessions hold, and their erasure.

use snakepit_proto::session::{
    EraseSubjectRequest, ListSubjectsRequest, sessions_client::SessionsClient,
};

use crate::call::{Patience, Repeat};
use crate::{Client, ClientError};

pub use snakepit_proto::session::{EraseSubjectResponse, Subject};

impl Client {
    /// Destroy the key of a subject: nobody can read any more what its sessions have held.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such subject.
    pub async fn erase_subject(&self, subject: &str) -> Result<EraseSubjectResponse, ClientError> {
        let send = |channel, request| async move {
            SessionsClient::new(channel).erase_subject(request).await
        };
        let request = EraseSubjectRequest {
            subject: subject.to_owned(),
        };
        Ok(self
            .call(Repeat::Deduplicated, Patience::Whole, request, send)
            .await?
            .value)
    }

    /// All subjects, in the order of their names.
    pub async fn list_subjects(&self) -> Result<Vec<Subject>, ClientError> {
        let mut subjects = Vec::new();
        let mut page_token = String::new();
        loop {
            let send = |channel, request| async move {
                SessionsClient::new(channel).list_subjects(request).await
            };
            let request = ListSubjectsRequest {
                page_size: 0,
                page_token,
            };
            let page = self
                .call(Repeat::Read, Patience::Attempt, request, send)
                .await?
                .value;
            subjects.extend(page.subjects);
            if page.next_page_token.is_empty() {
                return Ok(subjects);
            }
            page_token = page.next_page_token;
        }
    }
}
