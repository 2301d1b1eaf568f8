//! What a command answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Rejection;

/// The result of one command: an answer, or a refusal that changed nothing.
pub type Outcome = Result<Answer, Rejection>;

/// Answers, one for each command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To `CreateSession`.
    SessionCreated {
        /// False where it was there already.
        created: bool,
    },
    /// To `DeleteSession` and `ExpireSession`.
    SessionDeleted {
        /// False where there was none.
        existed: bool,
        /// Variables that went with it.
        variables: u64,
    },
    /// To `TouchSession`.
    SessionTouched {
        /// False where there is no such session.
        valid: bool,
    },
    /// To `RegisterVariable`.
    VariableRegistered {
        /// `var_<name>_<n>`, unique for ever.
        id: String,
        /// 1 for a new variable.
        version: u64,
    },
    /// To `SetVariables`.
    VariablesSet {
        /// New versions, by the identifier that was asked.
        versions: BTreeMap<String, u64>,
        /// What was refused and why, by the identifier that was asked.
        refused: BTreeMap<String, Rejection>,
    },
    /// To `DeleteVariable`.
    VariableDeleted,
}
