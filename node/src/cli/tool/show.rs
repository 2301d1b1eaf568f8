//! `snakepit tool show`.

use serde_json::{Value as Json, json};
use snakepit_client::{Client, Tool, any_to_json};
use snakepit_proto::bridge::ParameterSpec;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, line, pairs, text_or_none};
use super::as_json;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tool
    name: String,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let tools = client.list_tools().await?.value;
    let Some(tool) = tools.iter().find(|tool| tool.spec.name == args.name) else {
        return Err(CliError::failed(format!("there is no tool {}", args.name))
            .hint("`snakepit tool ls` lists them"));
    };
    let pools = pools(&client, &args.name).await;
    if context.output.is_json() {
        let mut json = as_json(tool);
        json["pools"] = json!(pools);
        json["example"] = json!(example(tool));
        return context.output.json(&json);
    }
    let nodes: Vec<_> = tool.nodes.iter().map(u64::to_string).collect();
    let spec = &tool.spec;
    let gives = if spec.supports_streaming {
        "stream"
    } else {
        "value"
    };
    let mut fields = vec![
        ("name", Cell::text(&spec.name)),
        ("description", text_or_none(spec.description.trim())),
        ("gives", Cell::text(gives)),
        ("nodes", text_or_none(&nodes.join(","))),
        ("pools", text_or_none(&pools.join(" "))),
    ];
    if !spec.metadata.is_empty() {
        fields.push(("metadata", Cell::text(pairs(&spec.metadata))));
    }
    if !spec.required_variables.is_empty() {
        fields.push((
            "needs variables",
            Cell::text(spec.required_variables.join(" ")),
        ));
    }
    fields.push(("example", Cell::text(example(tool))));
    context.output.record(fields, &Json::Null)?;
    if spec.parameters.is_empty() {
        return Ok(());
    }
    line("")?;
    let rows = spec.parameters.iter().map(row);
    let headers = ["parameter", "type", "default", "description"];
    context.output.table(&headers, rows.collect(), &Json::Null)
}

/// Names of pools that have the tool; none where nodes do not say.
async fn pools(client: &Client, tool: &str) -> Vec<String> {
    let found = client.list_pools_of_members().await.unwrap_or_default();
    let pools = found
        .into_iter()
        .filter_map(|(_, pools)| pools.ok())
        .flatten();
    let mut names: Vec<_> = pools
        .filter(|pool| pool.tools.iter().any(|name| name == tool))
        .map(|pool| pool.name)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn row(parameter: &ParameterSpec) -> Vec<Cell> {
    let default = match default(parameter) {
        Some(value) => Cell::text(value.to_string()),
        None if parameter.required => Cell::toned("required", Tone::Bad),
        None => Cell::none(),
    };
    vec![
        Cell::text(&parameter.name),
        text_or_none(&parameter.r#type),
        default,
        text_or_none(parameter.description.trim()),
    ]
}

fn default(parameter: &ParameterSpec) -> Option<Json> {
    let value = parameter.default_value.as_ref()?;
    any_to_json(Some(value), &[]).ok()
}

/// A line that calls it, with something that fits for each parameter it must have.
fn example(tool: &Tool) -> String {
    let spec = &tool.spec;
    let mut words = vec!["snakepit call".to_owned(), spec.name.clone()];
    for parameter in spec
        .parameters
        .iter()
        .filter(|parameter| parameter.required)
    {
        let value = match parameter.r#type.as_str() {
            "int" | "integer" => "1",
            "float" => "1.5",
            "bool" | "boolean" => "true",
            "null" => "null",
            "list" => "'[1, 2]'",
            "map" | "dict" => "'{\"a\": 1}'",
            _ => "text",
        };
        words.push(format!("{}={value}", parameter.name));
    }
    if spec.supports_streaming {
        words.push("--stream".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use snakepit_proto::bridge::ToolSpec;

    use super::*;

    #[test]
    fn an_example_has_what_a_tool_needs() {
        let parameter = |name: &str, kind: &str, required| ParameterSpec {
            name: name.into(),
            r#type: kind.into(),
            required,
            ..Default::default()
        };
        let spec = ToolSpec {
            name: "count".into(),
            parameters: vec![
                parameter("to", "integer", true),
                parameter("words", "list", true),
                parameter("step", "integer", false),
            ],
            supports_streaming: true,
            ..Default::default()
        };
        let tool = Tool {
            spec,
            nodes: vec![1],
        };
        assert_eq!(
            example(&tool),
            "snakepit call count to=1 words='[1, 2]' --stream"
        );
    }
}
