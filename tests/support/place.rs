//! Where a test's sessions are kept: in memory on a clock that the test moves, or in a Redis of the test's own.

use std::time::{Duration, SystemTime};

use cloakroom::store::{Memory, Redis};
use cloakroom::{Clock, Config, ConfigBuilder, Sessions};

use super::{RedisServer, Watched};

pub struct Place {
    pub store: Watched,
    /// Moves the time of a store in memory; Redis has its own time.
    pub clock: Clock,
    server: Option<RedisServer>,
}

impl Place {
    pub fn memory() -> Place {
        let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_775_133_296));
        Place { store: Memory::with_clock(clock.clone()).into(), clock, server: None }
    }

    pub async fn redis() -> Place {
        let server = RedisServer::start();
        // the machine may be busy: a test that wants a time-out sets one
        let redis = Redis::builder(server.url()).timeout(Duration::from_secs(20)).connect().await.unwrap();
        Place { store: redis.into(), clock: Clock::system(), server: Some(server) }
    }

    /// A manager with the default configuration.
    pub fn sessions(&self) -> Sessions {
        self.sessions_with(Config::builder())
    }

    pub fn sessions_with(&self, config: ConfigBuilder) -> Sessions {
        let config = config.store_timeout(Duration::from_secs(20)).build().unwrap();
        Sessions::new(self.store.clone(), config)
    }

    /// A manager that does not wait long for its store.
    pub fn impatient_sessions(&self) -> Sessions {
        let config = Config::builder().store_timeout(Duration::from_millis(200)).build().unwrap();
        Sessions::new(self.store.clone(), config)
    }

    /// The Redis server, if the sessions are kept in Redis.
    pub fn server(&self) -> &RedisServer {
        self.server.as_ref().expect("this place is a Redis")
    }

    pub fn is_redis(&self) -> bool {
        self.server.is_some()
    }
}

/// Runs a scenario in memory and on a real Redis.
pub async fn on_each_store(scenario: impl AsyncFn(Place)) {
    eprintln!("in memory:");
    scenario(Place::memory()).await;
    eprintln!("on Redis:");
    scenario(Place::redis().await).await;
}
