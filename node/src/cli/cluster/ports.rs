//! Ports that others hold are found before anything is started.

use std::net::TcpListener;

use super::super::error::CliError;
use super::record::NodeRecord;

/// Check that all addresses of these nodes can be bound.
pub(crate) fn check<'a>(nodes: impl IntoIterator<Item = &'a NodeRecord>) -> Result<(), CliError> {
    for node in nodes {
        for (address, what) in [
            (&node.client, "clients"),
            (&node.peer, "its peers"),
            (&node.http, "HTTP"),
        ] {
            TcpListener::bind(address).map_err(|error| taken(node.id, address, what, &error))?;
        }
    }
    Ok(())
}

fn taken(id: u64, address: &str, what: &str, error: &std::io::Error) -> CliError {
    let port = address.rsplit_once(':').map_or(address, |(_, port)| port);
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => "is in use".to_owned(),
        _ => format!("cannot be bound: {error}"),
    };
    CliError::failed(format!(
        "port {port}, on which node {id} would serve {what}, {why}"
    ))
    .hint("choose other ports with --base-port, or stop what listens there")
}

#[cfg(test)]
mod tests {
    use super::super::record::{RaftSpec, Record};
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let mut record = Record::new(1, 7001, None, RaftSpec::default());
        record.nodes[0].client = "127.0.0.1:0".into();
        record.nodes[0].http = "127.0.0.1:0".into();
        record.nodes[0].peer = address.to_string();
        let error = check(&record.nodes).unwrap_err().to_string();
        let port = address.port();
        assert!(
            error.starts_with(&format!("error: port {port}, on which node 1")),
            "{error}"
        );
        drop(held);
        check(&record.nodes).unwrap();
    }
}
