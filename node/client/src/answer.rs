//! What a node answered, and when it was true.

use std::ops::Deref;

use snakepit_proto::headers;
use tonic::metadata::MetadataMap;

/// A value with the log index at which it is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What was answered.
    pub value: T,
    /// The log index of `x-snakepit-index`; 0 where the node named none.
    pub index: u64,
}

impl<T> Answer<T> {
    /// The same index with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: change(self.value),
            index: self.index,
        }
    }

    pub(crate) fn try_map<U, E>(
        self,
        change: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<Answer<U>, E> {
        Ok(Answer {
            value: change(self.value)?,
            index: self.index,
        })
    }

    pub(crate) fn of(response: tonic::Response<T>) -> Self {
        let index = index_of(response.metadata());
        Self {
            value: response.into_inner(),
            index,
        }
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

fn index_of(metadata: &MetadataMap) -> u64 {
    let text = metadata
        .get(headers::INDEX)
        .and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
