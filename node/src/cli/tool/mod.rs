//! `snakepit tool`: what workers offer. One file per verb; this one is the table.

mod list;
mod show;

use clap::Subcommand;
use serde_json::{Value as Json, json};
use snakepit_client::{Tool, any_to_json};

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List tools
    Ls,
    /// Show a tool: what it takes, where it runs, how to call it
    Show(show::Args),
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Ls => list::run(context).await,
        Verb::Show(args) => show::run(context, &args).await,
    }
}

fn as_json(tool: &Tool) -> Json {
    let spec = &tool.spec;
    let parameters = spec.parameters.iter().map(|parameter| {
        let default = parameter.default_value.as_ref();
        json!({
            "name": parameter.name,
            "type": parameter.r#type,
            "required": parameter.required,
            "default": default.and_then(|value| any_to_json(Some(value), &[]).ok()),
            "description": parameter.description,
        })
    });
    json!({
        "name": spec.name,
        "description": spec.description,
        "parameters": parameters.collect::<Vec<_>>(),
        "metadata": spec.metadata,
        "required_variables": spec.required_variables,
        "streams": spec.supports_streaming,
        "nodes": tool.nodes,
    })
}
