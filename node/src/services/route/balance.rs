//! Calls that wait here while another node has free workers: they are given back to whoever routes them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::services::Node;

impl Node {
    /// Each time another node has spoken, give it what waits here and it has room for, until `stop`.
    pub async fn keep_balance(self: Arc<Self>, stop: CancellationToken) {
        loop {
            if stop
                .run_until_cancelled(self.peers.has_spoken())
                .await
                .is_none()
            {
                return;
            }
            for (pool, queued) in self.pools.waiting() {
                let room = self.peers.room(&pool).min(queued);
                if room > 0 {
                    self.pools.give_back(&pool, room);
                }
            }
        }
    }
}
