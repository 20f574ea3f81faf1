//! What sentinels say: which server is the primary, also when they have made another one the primary although the one before
//! still answers.
//!
//! Whether an operator has ordered it or the network is in two parts: the former primary goes on as one until a sentinel
//! gets hold of it, ten seconds later in the best case. All that it acknowledges meanwhile is lost.

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::Mutex;

use std::time::Duration;

use super::client_error::{failed, reason};
use super::dial::Dialer;

/// How often the sentinels are asked.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Sentinels {
    service: String,
    all: Vec<Sentinel>,
}

struct Sentinel {
    dialer: Dialer,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// Who names which server, `host:port`.
#[derive(Default)]
struct Votes(Vec<(String, usize)>);

impl Sentinels {
    pub(super) fn new(service: String, dialers: Vec<Dialer>) -> Sentinels {
        let all = dialers.into_iter().map(|dialer| Sentinel { dialer, connection: Mutex::default() }).collect();
        Sentinels { service, all }
    }

    /// The address that more than half of them name as the primary's. One that hangs is not waited for once that many agree.
    pub(super) async fn primary(&self, timeout: Duration) -> Option<String> {
        self.votes(timeout).await.ok()?.winner(self.all.len())
    }

    /// The addresses that may be the primary's: the one on which more than half of them agree, or else all that are named,
    /// those first that more of them name.
    ///
    /// # Errors
    /// When none of them names any.
    pub(super) async fn candidates(&self, timeout: Duration) -> RedisResult<Vec<String>> {
        let mut votes = self.votes(timeout).await?;
        if let Some(winner) = votes.winner(self.all.len()) {
            return Ok(vec![winner]);
        }
        votes.0.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(votes.0.into_iter().map(|(address, _)| address).collect())
    }

    async fn votes(&self, timeout: Duration) -> RedisResult<Votes> {
        let mut asked: FuturesUnordered<_> =
            self.all.iter().map(|sentinel| sentinel.ask(&self.service, timeout)).collect();
        let mut votes = Votes::default();
        let mut failure = failed("no sentinel was named");
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(address) => votes.add(address),
                Err(error) => failure = error,
            }
            if votes.winner(self.all.len()).is_some() {
                break;
            }
        }
        if votes.0.is_empty() { Err(failure) } else { Ok(votes) }
    }
}

impl Votes {
    fn add(&mut self, address: String) {
        match self.0.iter_mut().find(|(other, _)| *other == address) {
            Some((_, count)) => *count += 1,
            None => self.0.push((address, 1)),
        }
    }

    fn winner(&self, all: usize) -> Option<String> {
        self.0.iter().find(|(_, count)| *count > all / 2).map(|(address, _)| address.clone())
    }
}

impl Sentinel {
    async fn ask(&self, service: &str, timeout: Duration) -> RedisResult<String> {
        let mut kept = self.connection.lock().await;
        // taken out: one that fails is not used again
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.dialer.open(timeout).await.map_err(|error| self.named(&error))?,
        };
        let mut query = redis::cmd("SENTINEL");
        query.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        let answer: Value = query.query_async(&mut connection).await.map_err(|error| self.named(&error))?;
        *kept = Some(connection);
        if answer == Value::Nil {
            return Err(failed(format!("the sentinels know no service `{service}`")));
        }
        let (host, port): (String, String) = redis::from_redis_value(answer)?;
        Ok(format!("{host}:{port}"))
    }

    /// What failed, and at which sentinel.
    fn named(&self, error: &redis::RedisError) -> redis::RedisError {
        failed(format!("the sentinel {}: {}", self.dialer, reason(error)))
    }
}
