//! Noticing that the sentinels have made another server the primary, although the one before still answers.
//!
//! Whether an operator has ordered it or the network is in two parts: the former primary goes on as one until a sentinel
//! gets hold of it, ten seconds later in the best case. All that it acknowledges meanwhile is lost.

use std::time::Duration;

use futures_util::future::join_all;
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

    /// The address that more than half of them name as the primary's.
    pub(super) async fn primary(&self, timeout: Duration) -> Option<String> {
        let named = join_all(self.all.iter().map(|sentinel| sentinel.ask(&self.service, timeout))).await;
        let named: Vec<_> = named.into_iter().flatten().collect();
        let votes = |address: &String| named.iter().filter(|other| *other == address).count();
        named.iter().find(|address| votes(address) > self.all.len() / 2).cloned()
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
