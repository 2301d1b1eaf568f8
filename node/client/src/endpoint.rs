//! Where a node is reached.

use std::fmt;
use std::str::FromStr;

use crate::ClientError;

/// host:port of a node's client address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    authority: String,
}

impl Endpoint {
    /// As it is dialled.
    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// host:port.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl FromStr for Endpoint {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let bad = |reason: &str| {
            ClientError::Invalid(format!(
                "{text:?} is no endpoint: {reason}; hint: write host:port, for example 127.0.0.1:7001"
            ))
        };
        let rest = text.trim();
        if rest.starts_with("https://") {
            return Err(bad("TLS is not supported yet"));
        }
        let rest = rest.strip_prefix("http://").unwrap_or(rest);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (host.contains(':') && !bracketed) {
            return Err(bad("it has no host"));
        }
        if host.contains(|c: char| c == '/' || c == '@' || c.is_whitespace()) {
            return Err(bad("its host is none"));
        }
        if !port.parse::<u16>().is_ok_and(|port| port != 0) {
            return Err(bad("its port is not 1 to 65535"));
        }
        Ok(Self {
            authority: rest.to_owned(),
        })
    }
}

/// Read a comma-separated list. An item that is only a port takes the host of the one before it:
/// `127.0.0.1:7001,7002,7003`.
pub fn parse_endpoints(text: &str) -> Result<Vec<Endpoint>, ClientError> {
    let mut found: Vec<Endpoint> = Vec::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let endpoint = match (found.last(), item.parse::<u16>()) {
            (Some(before), Ok(port)) => {
                let host = before
                    .authority
                    .rsplit_once(':')
                    .map_or("", |(host, _)| host);
                format!("{host}:{port}").parse()?
            }
            _ => item.parse()?,
        };
        if !found.contains(&endpoint) {
            found.push(endpoint);
        }
    }
    if found.is_empty() {
        let message =
            "no endpoint is given; hint: name at least one node, for example 127.0.0.1:7001";
        return Err(ClientError::Invalid(message.into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let read = |text: &str| {
            parse_endpoints(text)
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            read("127.0.0.1:7001,7002, 7003").unwrap(),
            ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"]
        );
        assert_eq!(read("http://a:1/,[::1]:2,a:1").unwrap(), ["a:1", "[::1]:2"]);
        assert!(read("").unwrap_err().contains("no endpoint"));
        assert!(read("7001").unwrap_err().contains("no port"));
        assert!(read(":7001").unwrap_err().contains("no host"));
        assert!(read("a:0").unwrap_err().contains("1 to 65535"));
        assert!(read("::1:7001").unwrap_err().contains("no host"));
        assert!(read("https://a:1").unwrap_err().contains("TLS"));
    }
}
