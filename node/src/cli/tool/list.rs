//! `snakepit tool ls`.

use snakepit_client::Tool;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, cut};
use super::as_json;

pub(super) async fn run(context: &Context) -> Result<(), CliError> {
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
