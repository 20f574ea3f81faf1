//! The conformance kit, mounted on every store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cloakroom::Clock;
use cloakroom::conformance::Fixture;
use cloakroom::store::{Embedded, Memory, NearCache, Redis};

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

/// Each store in a directory of its own.
struct OnDisk {
    dir: tempfile::TempDir,
    stores: AtomicUsize,
    clock: Clock,
    waits: bool,
}

impl OnDisk {
    fn new(waits: bool) -> OnDisk {
        let dir = tempfile::tempdir().expect("a directory for the test");
        OnDisk { dir, stores: AtomicUsize::new(0), clock: Clock::manual(SystemTime::now()), waits }
    }
}

impl Fixture for OnDisk {
    type Store = Embedded;

    async fn fresh(&self) -> Embedded {
        let path = self.dir.path().join(self.stores.fetch_add(1, Ordering::SeqCst).to_string());
        let builder = Embedded::builder(path).clock(self.clock.clone());
        let builder = if self.waits { builder.wait_for_disk() } else { builder };
        builder.open().expect("a store in an empty directory")
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// A server of its own; each store has a prefix of its own on it.
struct OnRedis {
    server: RedisServer,
    stores: AtomicUsize,
    near_cache: Option<NearCache>,
}

impl OnRedis {
    fn start(near_cache: Option<NearCache>) -> OnRedis {
        OnRedis { server: RedisServer::start(), stores: AtomicUsize::new(0), near_cache }
    }
}

impl Fixture for OnRedis {
    type Store = Redis;

    async fn fresh(&self) -> Redis {
        let prefix = format!("session:{}:", self.stores.fetch_add(1, Ordering::SeqCst));
        let mut builder = Redis::builder(self.server.url()).prefix(prefix).timeout(Duration::from_secs(30));
        if let Some(near_cache) = self.near_cache {
            builder = builder.near_cache(near_cache);
        }
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

mod embedded {
    use super::*;

    cloakroom::conformance!(OnDisk::new(false));
}

mod embedded_that_waits_for_the_disk {
    use super::*;

    cloakroom::conformance!(OnDisk::new(true));
}

mod redis_standalone {
    use super::*;

    cloakroom::conformance!(OnRedis::start(None));
}

mod redis_with_a_near_cache {
    use super::*;

    cloakroom::conformance!(OnRedis::start(Some(NearCache::default())));
}
