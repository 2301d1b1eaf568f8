//! `snakepit call`: call a tool.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use snakepit_client::{CallRequest, ToolError};

use super::arguments::{duration, json_pair};
use super::error::{CliError, FAILED};
use super::globals::Context;
use super::output::note;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tool
    tool: String,
    /// Its parameters; values are JSON, or else text
    #[arg(value_parser = json_pair, value_name = "KEY=VALUE")]
    parameters: Vec<(String, Json)>,
    /// Its parameters as a JSON object; KEY=VALUE wins
    #[arg(long, value_name = "OBJECT")]
    json: Option<String>,
    /// The session it works in
    #[arg(short, long, env = "SNAKEPIT_SESSION", value_name = "ID")]
    session: Option<String>,
    /// Time it may take [default: that of --timeout]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    deadline: Option<Duration>,
    /// Tell on standard error where it ran and how long it took
    #[arg(short, long)]
    verbose: bool,
}

/// Call it; its result goes to standard output, its exception to standard error.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let parameters = parameters(args.json.as_deref(), args.parameters)?;
    let request = CallRequest {
        tool: args.tool,
        session: args.session.unwrap_or_default(),
        parameters,
        metadata: BTreeMap::new(),
        deadline: args.deadline,
    };
    let answer = context.client()?.call_tool(request).await?.value;
    if args.verbose {
        note(&format!(
            "call {} ran {} ms on node {}, worker {}",
            answer.call_id, answer.execution_time_ms, answer.node_id, answer.worker_id
        ));
    }
    match answer.outcome {
        Ok(value) => {
            if !answer.binary.is_empty() {
                note(&format!(
                    "{} bytes beside the value are not printed",
                    answer.binary.len()
                ));
            }
            context.output.json(&value)
        }
        Err(error) => {
            note(&exception(&error));
            Err(CliError::said(FAILED))
        }
    }
}

fn parameters(
    json: Option<&str>,
    pairs: Vec<(String, Json)>,
) -> Result<BTreeMap<String, Json>, CliError> {
    let mut parameters: BTreeMap<String, Json> = match json {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| CliError::usage(format!("--json takes a JSON object: {error}")))?,
    };
    parameters.extend(pairs);
    Ok(parameters)
}

fn exception(error: &ToolError) -> String {
    let mut text = format!(
        "error: the tool raised {}: {}",
        error.type_name, error.message
    );
    if !error.traceback.trim().is_empty() {
        text += "\n";
        text += error.traceback.trim_end();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_win_over_the_object() {
        let pairs = vec![("b".to_owned(), json!(3))];
        let read = parameters(Some(r#"{"a": 1, "b": 2}"#), pairs).unwrap();
        assert_eq!(json!(read), json!({"a": 1, "b": 3}));
        assert_eq!(
            parameters(Some("[1]"), Vec::new()).unwrap_err().code,
            super::super::error::USAGE
        );
    }

    #[test]
    fn exceptions_are_told_whole() {
        let error = ToolError {
            type_name: "ValueError".into(),
            message: "no".into(),
            traceback: "Traceback\n  line\n".into(),
        };
        let told = exception(&error);
        assert_eq!(
            told,
            "error: the tool raised ValueError: no\nTraceback\n  line"
        );
    }
}
