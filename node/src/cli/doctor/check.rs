//! One check and its end.

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It is as it should be.
    Ok,
    /// It works, but less well than it could.
    Warn,
    /// It does not work.
    Fail,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub group: &'static str,
    pub name: String,
    pub verdict: Verdict,
    pub found: String,
    pub remedy: Option<String>,
}

/// The checks of a group, as they are made.
#[derive(Debug)]
pub(super) struct Checks {
    group: &'static str,
    made: Vec<Check>,
}

impl Checks {
    pub fn new(group: &'static str) -> Self {
        Self {
            group,
            made: Vec::new(),
        }
    }

    /// It is as it should be.
    pub fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, Verdict::Ok, found.into(), None);
    }

    /// It could be better.
    pub fn warn(&mut self, name: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, Verdict::Warn, found.into(), Some(remedy.into()));
    }

    /// It does not work.
    pub fn fail(&mut self, name: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, Verdict::Fail, found.into(), Some(remedy.into()));
    }

    pub fn into_made(self) -> Vec<Check> {
        self.made
    }

    fn add(&mut self, name: &str, verdict: Verdict, found: String, remedy: Option<String>) {
        self.made.push(Check {
            group: self.group,
            name: name.to_owned(),
            verdict,
            found,
            remedy,
        });
    }
}
