//! `snakepit var access`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{line, note};
use super::{InSession, shown};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name or id
    name: String,
    /// New rules, such as '{"read": {"principals": ["alice"]}}' [default: print those that it has]
    #[arg(value_name = "JSON", conflicts_with = "clear")]
    rules: Option<String>,
    /// Lift all rules
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let (session, name) = (&args.session.id, &args.name);
    let client = context.client()?;
    let rules = match &args.rules {
        Some(rules) => rules,
        None if args.clear => "",
        None => {
            let variable = client.get_variable(session, name).await?.value;
            if context.output.is_json() {
                return context.output.json(&shown::object(&variable.access_json));
            }
            if variable.access_json.is_empty() {
                note(&format!("{name} has no rules, it is everybody's"));
                return Ok(());
            }
            return line(&variable.access_json);
        }
    };
    client.set_access(session, name, rules).await?;
    let sentence = if rules.is_empty() {
        format!("{name} has no rules any more, it is everybody's")
    } else {
        format!("{name} has new rules")
    };
    let json = json!({ "name": name, "access": shown::object(rules) });
    context.output.done(&sentence, &json)
}
