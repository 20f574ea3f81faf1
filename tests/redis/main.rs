//! What only the store in Redis has: a layout that others see, records that others wrote, a server that fails.
//!
//! A plain client looks beside, as an operator would with redis-cli.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/verbs.rs"]
mod verbs;

mod connection;
mod equivalence;
mod foreign;
mod layout;
mod outage;
mod times;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::{Applied, Loaded, Redis, Store};
use cloakroom::{Change, Delta, Fields, Presented, Refusal, Terms};
use redis::{FromRedisValue, ToRedisArgs};
use support::RedisServer;

const NO_ARGUMENTS: &[&str] = &[];

/// A server, the store on it, and a client beside.
struct Stand {
    server: RedisServer,
    store: Redis,
    terms: Terms,
    client: redis::Connection,
}

impl Stand {
    async fn new() -> Stand {
        Stand::with_timeout(Duration::from_secs(30)).await
    }

    async fn with_timeout(timeout: Duration) -> Stand {
        let server = RedisServer::start();
        let store = Redis::builder(server.url()).timeout(timeout).connect().await.expect("the server answers");
        let client = server.client();
        Stand { server, store, terms: Terms::default(), client }
    }

    async fn session(&self, stored: &[(&str, &str)]) -> Presented {
        let presented = mint();
        let answer = self.store.create(&new_session(presented, fields(stored)), &self.terms).await;
        assert!(matches!(answer, Ok(Applied::Done { .. })), "{answer:?}");
        presented
    }

    async fn load(&self, presented: &Presented) -> Option<Loaded> {
        self.store.load(presented, &self.terms).await.expect("the server answers").live()
    }

    async fn apply(&self, presented: &Presented, change: &Change) -> Applied {
        self.store.apply(presented, change, &self.terms).await.expect("the server answers")
    }

    /// A change that must be made.
    async fn made(&self, presented: &Presented, change: &Change) -> Loaded {
        match self.apply(presented, change).await {
            Applied::Done { loaded, .. } => loaded,
            Applied::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// That this is an anonymous visitor's, and no script touches what is there.
    async fn assert_anonymous(&mut self, presented: &Presented) {
        let before = self.dump(presented);
        assert_eq!(self.load(presented).await, None);
        for change in [set("a", "1"), add("n", 1), touch(), remove("username")] {
            assert_eq!(self.apply(presented, &change).await, Applied::Refused(Refusal::Gone));
        }
        assert_eq!(self.dump(presented), before);
    }

    /// Asks the server as redis-cli would.
    fn ask<T: FromRedisValue>(&mut self, command: &str, args: impl ToRedisArgs) -> T {
        redis::cmd(command).arg(args).query(&mut self.client).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn hash(&mut self, presented: &Presented) -> BTreeMap<String, String> {
        self.ask("HGETALL", key(presented))
    }

    /// Writes as another program would: these fields, and an expiry in seconds.
    fn write(&mut self, presented: &Presented, stored: &[(&str, &str)], expiry: u64) {
        let _: () = redis::cmd("HSET").arg(key(presented)).arg(stored).query(&mut self.client).unwrap();
        let _: () = redis::cmd("EXPIRE").arg(key(presented)).arg(expiry).query(&mut self.client).unwrap();
    }

    /// Everything at a session's key, and when it expires.
    fn dump(&mut self, presented: &Presented) -> (Option<Vec<u8>>, i64) {
        (self.ask("DUMP", key(presented)), self.expiry(presented))
    }

    /// When a session's key expires, in milliseconds since 1970; negative where it does not.
    fn expiry(&mut self, presented: &Presented) -> i64 {
        // Before Redis 7.0 no command says that. The time and what remains are asked one after the other, so their sum is
        // never too large, and the largest of some is right.
        const SUM: &str = "local time = redis.call('TIME')
            local remaining = redis.call('PTTL', KEYS[1])
            return remaining < 0 and remaining or time[1] * 1000 + math.floor(time[2] / 1000) + remaining";
        match redis::cmd("PEXPIRETIME").arg(key(presented)).query(&mut self.client) {
            Ok(expiry) => expiry,
            Err(_) => (0..20).map(|_| self.ask("EVAL", (SUM, 1, key(presented)))).max().expect("some"),
        }
    }

    /// The server's time in milliseconds.
    fn time(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = self.ask("TIME", NO_ARGUMENTS);
        seconds * 1000 + micros / 1000
    }
}

fn key(presented: &Presented) -> String {
    format!("session:{}", presented.id.expose())
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_millis() as u64
}

fn iso(millis: u64) -> String {
    jiff::Timestamp::from_millisecond(millis as i64).unwrap().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

fn fields(stored: &[(&str, &str)]) -> Fields {
    stored.iter().copied().collect()
}

fn change(delta: Delta) -> Change {
    Change { delta, ..Change::default() }
}

fn set(name: &str, text: &str) -> Change {
    change(Delta { set: fields(&[(name, text)]), ..Delta::default() })
}

fn add(name: &str, by: i64) -> Change {
    change(Delta { add: [(name.to_owned(), by)].into(), ..Delta::default() })
}

fn remove(name: &str) -> Change {
    change(Delta { remove: [name.to_owned()].into(), ..Delta::default() })
}

fn touch() -> Change {
    Change { touch: true, ..Change::default() }
}

fn confirm() -> Change {
    Change { confirm: true, ..Change::default() }
}

fn rotate_to(new: &Presented) -> Change {
    Change { rotate_to: new.secret_hash, ..Change::default() }
}
