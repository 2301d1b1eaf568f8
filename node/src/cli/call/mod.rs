//! `snakepit call`: call a tool.

mod replay;
mod stream;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use snakepit_client::{CallRequest, StreamPosition};
use snakepit_machine::json;

use super::arguments::{duration, json_pair, pair};
use super::error::{CliError, FAILED};
use super::globals::Context;
use super::output::note;

#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The tool; one called "replay" is named behind "--"
    #[arg(required = true)]
    tool: Option<String>,
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
    /// Print the chunks of a streaming tool as they come
    #[arg(long)]
    stream: bool,
    /// The pool whose workers shall run it [default: any that has the tool]
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// It may run twice: repeat it where its worker or its node dies
    #[arg(long)]
    idempotent: bool,
    /// Names the call: a repeated one gets the answer of the first one
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Go on with a stream that broke; its pool needs journal "full", and it must be idempotent or complete
    #[arg(long, value_name = "CALL_ID")]
    resume: Option<String>,
    /// The first chunk to print of it, from 0
    #[arg(long, value_name = "NUMBER", requires = "resume", default_value_t = 0)]
    from: u64,
    /// Names the piece of work that the call is a part of
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Something to tell the tool beside its parameters; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    /// Print on standard error what the tool wrote to its standard output and error
    #[arg(long)]
    output_of_tool: bool,
    /// Tell on standard error where it ran and how long it took, and what it wrote
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run recorded calls again against today's tools, and tell what is another now
    Replay(replay::Args),
}

/// Call it; its result goes to standard output, its exception to standard error.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    if let Some(Verb::Replay(replay)) = &args.verb {
        if let Some(tool) = &args.tool {
            return Err(CliError::usage(format!(
                "both tool {tool} and replay are given; hint: leave out one of them"
            )));
        }
        return replay::run(context, replay).await;
    }
    let (verbose, output) = (args.verbose, args.verbose || args.output_of_tool);
    let streams = args.stream || args.resume.is_some();
    let request = request(args)?;
    if streams {
        return stream::run(context, request, verbose).await;
    }
    let answer = context.client()?.call_tool(request).await?.value;
    if output {
        told::output(&answer);
    }
    if verbose {
        note(&told::place(&answer));
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
            note(&told::exception(&error));
            Err(CliError::said(FAILED))
        }
    }
}

fn request(args: Args) -> Result<CallRequest, CliError> {
    let number = args.from;
    Ok(CallRequest {
        parameters: parameters(args.json.as_deref(), args.parameters)?,
        tool: args.tool.unwrap_or_default(),
        session: args.session.unwrap_or_default(),
        metadata: args.meta.into_iter().collect(),
        deadline: args.deadline,
        idempotency_key: args.idempotency_key.unwrap_or_default(),
        pool: args.pool.unwrap_or_default(),
        idempotent: args.idempotent,
        correlation_id: args.correlation_id.unwrap_or_default(),
        resume: args
            .resume
            .map(|call_id| StreamPosition { call_id, number }),
    })
}

fn parameters(
    json: Option<&str>,
    pairs: Vec<(String, Json)>,
) -> Result<BTreeMap<String, Json>, CliError> {
    let mut parameters: BTreeMap<String, Json> = match json {
        None => BTreeMap::new(),
        Some(text) => match json::read(text) {
            Ok(Json::Object(parameters)) => parameters.into_iter().collect(),
            Ok(_) => return Err(CliError::usage("--json takes a JSON object")),
            Err(error) => {
                let told = format!("--json takes a JSON object: {error}");
                return Err(CliError::usage(told));
            }
        },
    };
    parameters.extend(pairs);
    Ok(parameters)
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
    fn flags_become_a_request() {
        use clap::Parser as _;

        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let read = |line: &str| Line::try_parse_from(line.split(' ')).map(|line| line.args);
        let args = read("call t a=1 --pool p --idempotency-key k --resume c --from 4 --meta x=y");
        let told = request(args.unwrap()).unwrap();
        let position = told.resume.unwrap();
        assert_eq!((position.call_id.as_str(), position.number), ("c", 4));
        assert_eq!(
            (told.pool.as_str(), told.idempotency_key.as_str()),
            ("p", "k")
        );
        assert_eq!(told.metadata["x"], "y");
        assert!(read("call t --from 4").is_err(), "from what?");
        assert!(!request(read("call t").unwrap()).unwrap().idempotent);
    }
}
