//! How clients are spread over endpoints and connections.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Clients that share a connection, unless the number of connections is given.
const CLIENTS_PER_CONNECTION: usize = 32;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections to some endpoints, each endpoint in turn.
#[derive(Clone, Debug)]
pub(crate) struct Spread(Vec<Channel>);

impl Spread {
    /// For so many clients: at least one connection for each endpoint that has a client. `connections` is
    /// their number in all, where it is given.
    pub fn new(
        addresses: &[String],
        clients: usize,
        connections: Option<usize>,
    ) -> Result<Self, tonic::transport::Error> {
        let count = connections.unwrap_or_else(|| connections_for(addresses.len(), clients));
        let dial = |number: usize| {
            let address = &addresses[number % addresses.len()];
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true);
            Ok(endpoint.connect_lazy())
        };
        (0..count.max(1))
            .map(dial)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The connection of a client.
    pub fn of(&self, client: usize) -> Channel {
        self.0[client % self.0.len()].clone()
    }
}

fn connections_for(endpoints: usize, clients: usize) -> usize {
    let each = clients.div_ceil(endpoints * CLIENTS_PER_CONNECTION);
    (endpoints * each).min(clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_get_their_share() {
        assert_eq!(connections_for(3, 1), 1);
        assert_eq!(connections_for(3, 64), 3);
        assert_eq!(connections_for(3, 97), 6);
        assert_eq!(connections_for(3, 256), 9);
        assert_eq!(connections_for(1, 64), 2);
    }
}
