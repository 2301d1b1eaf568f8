//! Initial members of the cluster.

use serde::{Deserialize, Serialize};

/// One initial member: where the other nodes and the clients find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node's number.
    pub id: u64,
    /// `host:port` of its client listener.
    pub client: String,
    /// `host:port` of its peer listener.
    pub peer: String,
    /// `host:port` of its HTTP listener.
    pub http: String,
}

impl Member {
    /// The addresses by the name of their key.
    pub(super) fn addresses(&self) -> [(&'static str, &str); 3] {
        [
            ("client", &self.client),
            ("peer", &self.peer),
            ("http", &self.http),
        ]
    }
}

/// Whether it is `host:port`, the host a name or an IP address (IPv6 in brackets), the port not 0.
pub(super) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host_is_fine = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(ipv6) => ipv6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    host_is_fine && port.parse::<u16>().is_ok_and(|port| port > 0)
}
