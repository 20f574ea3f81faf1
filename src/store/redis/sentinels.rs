//! Noticing that the sentinels have made another server the primary, although the one before still answers.
//!
//! Whether an operator has ordered it or the network is in two parts: the former primary goes on as one until a sentinel
//! gets hold of it, ten seconds later in the best case. All that it acknowledges meanwhile is lost.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult};
use tokio::sync::Mutex;

use super::link::open;

/// How often the sentinels are asked.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Sentinels {
    service: String,
    all: Vec<Sentinel>,
}

struct Sentinel {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Sentinels {
    pub(super) fn new(service: String, clients: Vec<Client>) -> Sentinels {
        let all = clients.into_iter().map(|client| Sentinel { client, connection: Mutex::default() }).collect();
        Sentinels { service, all }
    }

    pub(super) fn count(&self) -> u32 {
        self.all.len() as u32
    }

    /// The address that more than half of them name as the primary's. One that hangs is not waited for once that many agree.
    pub(super) async fn primary(&self, timeout: Duration) -> Option<String> {
        let mut asked: FuturesUnordered<_> =
            self.all.iter().map(|sentinel| sentinel.ask(&self.service, timeout)).collect();
        let mut votes: HashMap<String, usize> = HashMap::new();
        while let Some(answer) = asked.next().await {
            let Some(address) = answer else { continue };
            let count = votes.entry(address.clone()).or_default();
            *count += 1;
            if *count > self.all.len() / 2 {
                return Some(address);
            }
        }
        None
    }
}

impl Sentinel {
    /// `None` where it does not answer.
    async fn ask(&self, service: &str, timeout: Duration) -> Option<String> {
        let mut kept = self.connection.lock().await;
        let answer: RedisResult<(String, String)> = async {
            // taken out: one that fails is not used again
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => open(&self.client, timeout).await?,
            };
            let mut query = redis::cmd("SENTINEL");
            let answer = query.arg("GET-MASTER-ADDR-BY-NAME").arg(service).query_async(&mut connection).await?;
            *kept = Some(connection);
            Ok(answer)
        }
        .await;
        answer.ok().map(|(host, port)| format!("{host}:{port}"))
    }
}
