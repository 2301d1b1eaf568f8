//! Which addresses the clients of a benchmark ask.

use snakepit_client::Client;

use super::super::error::CliError;
use super::Target;

/// Addresses of the nodes that are asked. Those that do not answer are left out where roles matter.
pub(super) async fn addresses(client: &Client, target: Target) -> Result<Vec<String>, CliError> {
    if target == Target::Any {
        return Ok(client.endpoints().iter().map(ToString::to_string).collect());
    }
    let told = client.status_all().await.into_iter();
    let answered = told.filter_map(|(endpoint, status)| Some((endpoint.to_string(), status.ok()?)));
    let wanted = answered.filter(|(_, status)| match target {
        Target::Any => true,
        Target::Leader => status.role == "leader",
        Target::Followers => status.role == "follower",
    });
    let found: Vec<_> = wanted.map(|(address, _)| address).collect();
    if found.is_empty() {
        let message = format!(
            "none of the given nodes is a {}",
            match target {
                Target::Followers => "follower",
                _ => "leader",
            }
        );
        return Err(CliError::unavailable(message).hint("name all nodes with --endpoints"));
    }
    Ok(found)
}
