//! `snakepit tool`: what workers offer.

use clap::Subcommand;
use serde_json::json;
use snakepit_client::Tool;

use super::error::CliError;
use super::globals::Context;
use super::output::{Cell, cut};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List tools
    Ls,
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Ls => list(context).await,
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let tools = context.client()?.list_tools().await?.value;
    let rows = tools.iter().map(|tool| {
        let first_line = tool.spec.description.trim().lines().next().unwrap_or("");
        vec![
            Cell::text(signature(tool)),
            Cell::text(if tool.spec.supports_streaming {
                "stream"
            } else {
                "value"
            }),
            Cell::text(
                tool.nodes
                    .iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            Cell::text(cut(first_line, 70)),
        ]
    });
    let json: Vec<_> = tools.iter().map(as_json).collect();
    context.output.table(
        &["tool", "gives", "nodes", "description"],
        rows.collect(),
        &json,
    )
}

/// `name(a, b?)`.
fn signature(tool: &Tool) -> String {
    let parameters = tool.spec.parameters.iter().map(|parameter| {
        let mark = if parameter.required { "" } else { "?" };
        format!("{}{mark}", parameter.name)
    });
    format!(
        "{}({})",
        tool.spec.name,
        parameters.collect::<Vec<_>>().join(", ")
    )
}

fn as_json(tool: &Tool) -> serde_json::Value {
    let parameters = tool.spec.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "type": parameter.r#type,
            "required": parameter.required,
            "description": parameter.description,
        })
    });
    json!({
        "name": tool.spec.name,
        "description": tool.spec.description,
        "parameters": parameters.collect::<Vec<_>>(),
        "streams": tool.spec.supports_streaming,
        "nodes": tool.nodes,
    })
}
