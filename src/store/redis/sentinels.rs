//! What sentinels say: which server is the primary. They are asked even while the present primary answers, because they may
//! have made another server the primary meanwhile.
//!
//! That can happen because an operator orders it, or because the network is in two parts. The former primary goes on as a
//! primary until a sentinel reaches it, which takes ten seconds in the best case. All changes that it acknowledges in that
//! time are lost.

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

/// The servers that the sentinels name (`host:port`), and how many sentinels name each.
#[derive(Default)]
struct Votes(Vec<(String, usize)>);

impl Sentinels {
    pub(super) fn new(service: String, dialers: Vec<Dialer>) -> Sentinels {
        let all = dialers.into_iter().map(|dialer| Sentinel { dialer, connection: Mutex::default() }).collect();
        Sentinels { service, all }
    }

    /// Returns the address that more than half of the sentinels name as the primary's. Does not wait for a sentinel that
    /// hangs once more than half agree.
    pub(super) async fn primary(&self, timeout: Duration) -> Option<String> {
        self.votes(timeout).await.ok()?.winner(self.all.len())
    }

    /// Returns the addresses that may be the primary's. If more than half of the sentinels agree on one, returns only that
    /// address. Otherwise returns all named addresses, beginning with the one that most sentinels name.
    ///
    /// # Errors
    /// Fails if no sentinel names an address.
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
        // The connection is taken out, so that it is not used again if it fails.
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

    /// Returns the error with the name of the sentinel at which it happened.
    fn named(&self, error: &redis::RedisError) -> redis::RedisError {
        failed(format!("the sentinel {}: {}", self.dialer, reason(error)))
    }
}
