//! The near cache: what it saves, and that nobody is let in for longer than promised.

mod ahead;
mod model;
mod off;
mod promise;
mod pushed;
mod takeover;
mod warm;

use std::time::Duration;

use cloakroom::store::Credentials;
use cloakroom::store::{NearCache, Redis, RedisBuilder};

use crate::support::RedisServer;
use crate::support::redis_server::Monitor;
use crate::{Kept, PATIENT};

/// As a server of the application that keeps sessions near.
async fn near(url: String) -> Kept {
    Kept::on(builder(url)).await
}

fn builder(url: String) -> RedisBuilder {
    // a connection that is silent on a busy machine shall not make a test fail that is about something else
    Redis::builder(url).timeout(PATIENT).near_cache(NearCache::default().silence_limit(Duration::from_secs(30)))
}

/// A server, one application server that keeps sessions near, and another one that does not.
struct Pair {
    server: RedisServer,
    near: Kept,
    other: Kept,
}

impl Pair {
    async fn start() -> Pair {
        let server = RedisServer::start();
        let near = near(server.url()).await;
        let other = Kept::on(Redis::builder(server.url()).timeout(PATIENT)).await;
        Pair { server, near, other }
    }

    /// A session that is warm.
    async fn warm(&self) -> Credentials {
        let presented = self.other.session().await;
        assert!(self.near.lives(&presented).await);
        presented
    }
}

/// The commands since the last call, without the questions of a heartbeat.
fn commands(monitor: &mut Monitor) -> Vec<String> {
    monitor.commands().into_iter().filter(|command| command != "PING").collect()
}

/// Waits for what a push brings about.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..20_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not happen: {what}");
}
