//! Who may read, write and watch a variable: a JSON document with a rule for each action, see
//! `docs/access.md`.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::{ACCESS_BYTES_MAX, Rejection, RejectionKind, glob};

/// What can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To see its values.
    Read,
    /// To change it.
    Write,
    /// To be told of its changes.
    Watch,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Watch => "watch",
        }
    }
}

/// Who wants to act.
#[derive(Clone, Copy, Debug, Default)]
pub struct Actor<'a> {
    /// The principal; empty where nobody was declared.
    pub principal: &'a str,
    /// The tool whose call makes the request; empty where none.
    pub tool: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    read: Option<Rule>,
    write: Option<Rule>,
    watch: Option<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    principals: Vec<String>,
    #[serde(default)]
    tools: Vec<String>,
}

impl Rule {
    fn lets_in(&self, actor: Actor<'_>) -> bool {
        let any = |globs: &[String], name: &str| globs.iter().any(|glob| glob::matches(glob, name));
        any(&self.principals, actor.principal)
            || (!actor.tool.is_empty() && any(&self.tools, actor.tool))
    }
}

/// Whether a document is one.
pub(crate) fn check_document(document: &str) -> Result<(), Rejection> {
    if document.len() > ACCESS_BYTES_MAX {
        return Err(Rejection::invalid(format!(
            "access_control_json has {} bytes, the limit is {ACCESS_BYTES_MAX}; hint: name groups by globs",
            document.len()
        )));
    }
    if !document.is_empty() {
        parse(document)?;
    }
    Ok(())
}

/// Whether the rules of a variable let somebody act.
pub fn check(
    document: &str,
    name: &str,
    action: Action,
    actor: Actor<'_>,
) -> Result<(), Rejection> {
    if document.is_empty() {
        return Ok(());
    }
    let rules = parse(document)?;
    let rule = match action {
        Action::Read => rules.read.as_ref(),
        Action::Write => rules.write.as_ref(),
        Action::Watch => rules.watch.as_ref().or(rules.read.as_ref()),
    };
    match rule {
        Some(rule) if !rule.lets_in(actor) => {
            let who = match (actor.principal, actor.tool) {
                ("", "") => "a caller without a principal".to_owned(),
                (principal, "") => format!("principal {principal:?}"),
                ("", tool) => format!("tool {tool}"),
                (principal, tool) => format!("principal {principal:?} through tool {tool}"),
            };
            Err(Rejection::new(
                RejectionKind::Denied,
                format!(
                    "{who} may not {} variable {name}; hint: ask its owner for access, see access_control_json",
                    action.name()
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn parse(document: &str) -> Result<Rules, Rejection> {
    let wrong = |reason: String| {
        Rejection::invalid(format!(
            "access_control_json is not a set of rules: {reason}; hint: send {{\"write\": {{\"principals\": [\"alice\"]}}}}"
        ))
    };
    let json: Json = crate::json::read(document).map_err(|error| wrong(error.to_string()))?;
    // serde takes a list for a struct, which nobody means here.
    let rules = json
        .as_object()
        .ok_or_else(|| wrong("it is no object".into()))?;
    if let Some((action, _)) = rules.iter().find(|(_, rule)| !rule.is_object()) {
        return Err(wrong(format!("the rule of {action} is no object")));
    }
    serde_json::from_str(document).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(document: &str, action: Action, principal: &str, tool: &str) -> bool {
        check(document, "x", action, Actor { principal, tool }).is_ok()
    }

    #[test]
    fn rules_let_in_whom_they_name() {
        let rules =
            r#"{"read":{"principals":["team-*"]},"write":{"principals":["a"],"tools":["train"]}}"#;
        assert!(may(rules, Action::Read, "team-1", ""));
        assert!(!may(rules, Action::Read, "a", "train"));
        assert!(may(rules, Action::Write, "a", ""));
        assert!(may(rules, Action::Write, "", "train"));
        assert!(!may(rules, Action::Write, "", ""));
        assert!(may(rules, Action::Watch, "team-1", "") && !may(rules, Action::Watch, "a", ""));
        assert!(!may(r#"{"read":{}}"#, Action::Read, "a", "t"));
        assert!(may("", Action::Write, "", "") && may("{}", Action::Write, "", ""));
        assert!(may(
            r#"{"read":{"principals":["*"]}}"#,
            Action::Read,
            "",
            ""
        ));
    }

    #[test]
    fn what_is_no_document_is_told() {
        for bad in [
            "[]",
            "{",
            r#"{"raed":{}}"#,
            r#"{"read":{"who":[]}}"#,
            r#"{"read":["a"]}"#,
            r#"{"read":[["a"],[]]}"#,
            "[null,null,null]",
            r#"{"read":null}"#,
        ] {
            let refused = check_document(bad).unwrap_err();
            assert_eq!(refused.kind, RejectionKind::Invalid, "{bad}");
        }
        assert!(check_document(&" ".repeat(ACCESS_BYTES_MAX + 1)).is_err());
    }
}
