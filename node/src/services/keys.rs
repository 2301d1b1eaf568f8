//! Keys of subjects, as nodes hand them to each other.

use std::sync::Arc;

use snakepit_proto::peer::{self, keys_server};
use tonic::{Request, Response, Status};

use super::Node;
use crate::keys::{Key, KeyId};

/// Serves [`keys_server::Keys`].
#[derive(Clone, Debug)]
pub struct KeyService(pub Arc<Node>);

impl KeyService {
    fn check_cluster(&self, cluster_id: &str) -> Result<(), Status> {
        if cluster_id == self.0.settings.node.cluster_id {
            return Ok(());
        }
        Err(Status::failed_precondition(
            "this node belongs to another cluster; hint: correct the addresses of the members",
        ))
    }
}

fn id_of(text: &str) -> Result<KeyId, Status> {
    text.parse().map_err(Status::invalid_argument)
}

#[tonic::async_trait]
impl keys_server::Keys for KeyService {
    async fn put_key(
        &self,
        request: Request<peer::PutKeyRequest>,
    ) -> Result<Response<peer::PutKeyResponse>, Status> {
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        let key = Key::from_bytes(&request.key)
            .ok_or_else(|| Status::invalid_argument("a key has 32 bytes"))?;
        let keys = self.0.keys.clone();
        tokio::task::spawn_blocking(move || keys.put(key))
            .await
            .map_err(std::io::Error::other)
            .and_then(|kept| kept)
            .map_err(|error| Status::internal(format!("a key cannot be kept: {error}")))?;
        Ok(Response::new(peer::PutKeyResponse {}))
    }

    async fn get_key(
        &self,
        request: Request<peer::GetKeyRequest>,
    ) -> Result<Response<peer::GetKeyResponse>, Status> {
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        let key = self.0.keys.get(&id_of(&request.key_id)?);
        Ok(Response::new(peer::GetKeyResponse {
            key: key
                .map(|key| bytes::Bytes::copy_from_slice(key.bytes()))
                .unwrap_or_default(),
        }))
    }

    async fn drop_key(
        &self,
        request: Request<peer::DropKeyRequest>,
    ) -> Result<Response<peer::DropKeyResponse>, Status> {
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        let id = id_of(&request.key_id)?;
        // The log must say so: nobody can have a key destroyed by asking for it.
        let settled = self.0.settle_keys().await;
        settled.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(peer::DropKeyResponse {
            gone: self.0.keys.get(&id).is_none(),
        }))
    }
}
