//! The conformance kit, mounted on every store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cloakroom::Clock;
use cloakroom::conformance::Fixture;
use cloakroom::store::{Memory, Redis};

use support::RedisServer;

mod support;

struct InMemory(Clock);

impl Fixture for InMemory {
    type Store = Memory;

    async fn fresh(&self) -> Memory {
        Memory::with_clock(self.0.clone())
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

/// A server of its own; each store has a prefix of its own on it.
struct OnRedis {
    server: RedisServer,
    stores: AtomicUsize,
}

impl OnRedis {
    fn start() -> OnRedis {
        OnRedis { server: RedisServer::start(), stores: AtomicUsize::new(0) }
    }
}

impl Fixture for OnRedis {
    type Store = Redis;

    async fn fresh(&self) -> Redis {
        let prefix = format!("session:{}:", self.stores.fetch_add(1, Ordering::SeqCst));
        let builder = Redis::builder(self.server.url()).prefix(prefix).timeout(Duration::from_secs(30));
        builder.connect().await.expect("the test's redis-server answers")
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by + Duration::from_millis(10)).await;
    }
}

impl Drop for OnRedis {
    /// Whatever the scenario did: no key without an expiry.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut client = self.server.client();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
        for key in keys {
            let expiry: i64 = redis::cmd("PTTL").arg(&key).query(&mut client).unwrap();
            assert_ne!(expiry, -1, "{key} would live for ever");
        }
    }
}

mod memory {
    use super::*;

    cloakroom::conformance!(InMemory(Clock::manual(SystemTime::now())));
}

mod redis_standalone {
    use super::*;

    cloakroom::conformance!(OnRedis::start());
}
