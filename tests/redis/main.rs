//! What only the store in Redis has: a layout that others see, records that others wrote, a server that fails.
//!
//! A plain client looks at the server too, as an operator would with redis-cli.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/verbs.rs"]
mod verbs;

mod clock;
mod connection;
mod equivalence;
mod foreign;
mod given_up;
mod index;
mod layout;
mod limit;
mod operators;
mod outage;
mod planned;
mod races;
mod restoring;
mod rights;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::{Loaded, Outcome, Redis, Store, Target};
use cloakroom::{
    OnLimit, Page, SessionId, UserId,
    store::{Change, Credentials, FieldChanges, Fields, IndexEntry, Refusal, Rotation, Save, SignIn, Terms},
};
use redis::{FromRedisValue, ToRedisArgs};
use support::{RedisServer, ServerClock};

const NO_ARGUMENTS: &[&str] = &[];
const PATIENT: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server, the store on it, and a plain client of the same server.
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

    async fn with_clock(clock: &ServerClock) -> Stand {
        Stand::on(RedisServer::start_in(clock.environment()), PATIENT).await
    }

    async fn with_timeout(timeout: Duration) -> Stand {
        Stand::on(RedisServer::start(), timeout).await
    }

    async fn on(server: RedisServer, timeout: Duration) -> Stand {
        let store = Redis::builder(server.url()).timeout(timeout).connect().await.expect("the server answers");
        let client = server.client();
        Stand { server, store, terms: Terms::default(), client }
    }

    async fn session(&self, stored: &[(&str, &str)]) -> Credentials {
        let presented = mint();
        let answer = self.store.create(&new_session(presented, fields(stored)), &self.terms).await;
        assert!(matches!(answer, Ok(Outcome::Done { .. })), "{answer:?}");
        presented
    }

    /// A new session in which this user has signed in.
    async fn signed_in(&self, new: &SignIn) -> Credentials {
        let visitor = self.session(&[]).await;
        let rotated = with_new_secret(&visitor);
        self.made(&visitor, &bind(&rotated, new)).await;
        rotated
    }

    /// The ids of a user's sessions, the latest sign-in first.
    async fn listed(&self, user: &UserId) -> Vec<SessionId> {
        let page = Page { offset: 0, limit: 1000 };
        let devices = self.store.list(user, page, &self.terms).await.expect("the server answers");
        devices.into_iter().map(|device| device.id).collect()
    }

    async fn revoke(&self, target: Target) -> u64 {
        self.store.revoke(&target).await.expect("the server answers")
    }

    async fn load(&self, presented: &Credentials) -> Option<Loaded> {
        self.store.load(presented, &self.terms).await.expect("the server answers").live()
    }

    async fn apply(&self, presented: &Credentials, change: &Change) -> Outcome {
        self.store.apply(presented, change, &self.terms).await.expect("the server answers")
    }

    /// A change that must be made.
    async fn made(&self, presented: &Credentials, change: &Change) -> Loaded {
        match self.apply(presented, change).await {
            Outcome::Done { loaded, .. } => loaded,
            Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// Asserts that a request with this token is an anonymous visitor's, and that no script touches what is at the key.
    async fn assert_anonymous(&mut self, presented: &Credentials) {
        let before = self.dump(presented);
        assert_eq!(self.load(presented).await, None);
        for change in [set("a", "1"), add("n", 1), touch(), remove("username")] {
            assert_eq!(self.apply(presented, &change).await, Outcome::Refused(Refusal::Gone));
        }
        assert_eq!(self.dump(presented), before);
    }

    /// Asks the server as redis-cli would.
    fn ask<T: FromRedisValue>(&mut self, command: &str, args: impl ToRedisArgs) -> T {
        redis::cmd(command).arg(args).query(&mut self.client).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn hash(&mut self, presented: &Credentials) -> BTreeMap<String, String> {
        self.ask("HGETALL", key(presented))
    }

    /// Writes as another program would: these fields, and an expiry in seconds.
    fn write(&mut self, presented: &Credentials, stored: &[(&str, &str)], expiry: u64) {
        let _: () = redis::cmd("HSET").arg(key(presented)).arg(stored).query(&mut self.client).unwrap();
        let _: () = redis::cmd("EXPIRE").arg(key(presented)).arg(expiry).query(&mut self.client).unwrap();
    }

    /// Everything at a session's key, and when it expires.
    fn dump(&mut self, presented: &Credentials) -> (Option<Vec<u8>>, i64) {
        (self.ask("DUMP", key(presented)), self.expiry(presented))
    }

    /// When a session's key expires, in milliseconds since 1970; negative where it does not.
    fn expiry(&mut self, presented: &Credentials) -> i64 {
        // Before Redis 7.0 no command says that. The script asks for the time and then for the remaining time, so their sum
        // is never too large, and the largest of several sums is right.
        const SUM: &str = "local time = redis.call('TIME')
            local remaining = redis.call('PTTL', KEYS[1])
            return remaining < 0 and remaining or time[1] * 1000 + math.floor(time[2] / 1000) + remaining";
        match redis::cmd("PEXPIRETIME").arg(key(presented)).query(&mut self.client) {
            Ok(expiry) => expiry,
            Err(_) => (0..20).map(|_| self.ask("EVAL", (SUM, 1, key(presented)))).max().expect("some"),
        }
    }

    /// How many scripts the server has run.
    fn scripts_run(&self) -> u64 {
        let stats = self.server.info("commandstats", "cmdstat_evalsha");
        let calls = stats.split(['=', ',']).nth(1).unwrap_or("0");
        calls.parse().expect("a number")
    }

    /// The server's time in milliseconds.
    fn time(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = self.ask("TIME", NO_ARGUMENTS);
        seconds * 1000 + micros / 1000
    }
}

fn key(presented: &Credentials) -> String {
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

fn change(delta: FieldChanges) -> Change {
    Save { fields: delta, ..Save::default() }.into()
}

fn set(name: &str, text: &str) -> Change {
    change(FieldChanges { set: fields(&[(name, text)]), ..FieldChanges::default() })
}

fn set_both(name: &str, other: &str, text: &str) -> Change {
    change(FieldChanges { set: fields(&[(name, text), (other, text)]), ..FieldChanges::default() })
}

fn add(name: &str, by: i64) -> Change {
    change(FieldChanges { add: [(name.to_owned(), by)].into(), ..FieldChanges::default() })
}

fn remove(name: &str) -> Change {
    change(FieldChanges { remove: [name.to_owned()].into(), ..FieldChanges::default() })
}

fn touch() -> Change {
    Save { touch: true, ..Save::default() }.into()
}

/// A count by a request, which touches the session as well.
fn visit() -> Change {
    let fields = FieldChanges { add: [("page_views".to_owned(), 1)].into(), ..FieldChanges::default() };
    Save { fields, touch: true, ..Save::default() }.into()
}

fn confirm() -> Change {
    Save { confirm: true, ..Save::default() }.into()
}

fn rotate_to(new: &Credentials) -> Change {
    rotating_to(new, FieldChanges::default())
}

fn elevate_to(new: &Credentials) -> Change {
    let fields = FieldChanges::default();
    Rotation { secret_hash: new.secret_hash.unwrap(), drop_previous: true, fields }.into()
}

fn rotating_to(new: &Credentials, fields: FieldChanges) -> Change {
    Rotation { secret_hash: new.secret_hash.unwrap(), drop_previous: false, fields }.into()
}

fn anna() -> UserId {
    UserId::try_from("anna").expect("1 to 255 bytes")
}

/// A sign-in of Anna's with the configured lifetimes, far from any limit.
fn sign_in() -> SignIn {
    SignIn::new(anna(), 10_000, OnLimit::EvictOldest)
}

fn limited(max_sessions: usize, on_limit: OnLimit) -> SignIn {
    SignIn { max_sessions, on_limit, ..sign_in() }
}

/// The change that signs in, after which the browser presents `rotated`.
fn bind(rotated: &Credentials, new: &SignIn) -> Change {
    Change::SignIn { new: new.clone(), secret_hash: rotated.secret_hash.unwrap() }
}

/// The touch of a session that is signed in.
fn touch_of(loaded: &Loaded) -> Change {
    let record = &loaded.record;
    let user = record.user_id.clone().expect("it is signed in");
    let signed_in_at = record.auth_time.expect("it is signed in");
    let listed = Some(IndexEntry { user, signed_in_at, expires_at: record.expires_at });
    Save { touch: true, listed, ..Save::default() }.into()
}
