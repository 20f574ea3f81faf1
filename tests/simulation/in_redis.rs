//! A real Redis whose clock stands still between two steps, and moves when the program says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use cloakroom::conformance::mint;
use cloakroom::store::operate::{Restore, Restored, Saved};
use cloakroom::store::{Change, NearCache, Redis, RedisBuilder, Save, Store, Terms};
use cloakroom::{Clock, SessionId, UserId};

use crate::lives::Lives;
use crate::oracle::Wrong;
use crate::place::{self, Place};
use crate::story::Denial;
use crate::support::{RedisServer, ServerClock};

/// Redis has sixteen logical databases, if nobody says otherwise. The last one stays empty.
const DATABASES: usize = 15;
const EMPTY: usize = DATABASES;

/// The application's user.
const USER: &str = "app";
const PASSWORD: &str = "password-of-the-app";

/// A server that others keep busy answers late.
const PATIENT: Duration = Duration::from_secs(20);

/// Says what is wrong with the keys of a database, and which sessions are there.
const INSPECT: &str = include_str!("inspect.lua");

/// Each session of a database as it is stored, with what is left of its life.
const STORED: &str = include_str!("stored.lua");

/// One of the logical databases of this thread's server.
pub(crate) struct InRedis {
    database: usize,
    lives: Lives,
}

struct Server {
    // stopped before its clock goes
    redis: RedisServer,
    clock: ServerClock,
    client: redis::Connection,
    /// The one in use.
    database: usize,
}

thread_local! {
    static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
}

fn with_server<T>(act: impl FnOnce(&mut Server) -> T) -> T {
    SERVER.with_borrow_mut(|server| act(server.get_or_insert_with(Server::start)))
}

impl Server {
    fn start() -> Server {
        let clock = ServerClock::new();
        let redis = RedisServer::start_in(clock.environment());
        let client = redis.client();
        let mut server = Server { redis, clock, client, database: 0 };
        server.ask::<()>(&["ACL", "SETUSER", USER, "on", &format!(">{PASSWORD}"), "~session:*", "+@all"]);
        server.fail_a_snapshot();
        server
    }

    /// From now on it refuses changes whenever it should write snapshots.
    fn fail_a_snapshot(&mut self) {
        std::fs::remove_dir_all(self.redis.dir()).expect("its directory is there");
        self.ask::<String>(&["BGSAVE"]);
        let begun = Instant::now();
        while self.redis.info("persistence", "rdb_last_bgsave_status") != "err" {
            assert!(begun.elapsed() < PATIENT, "a snapshot into a directory that is gone does not fail");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ask<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> T {
        let answer = redis::cmd(command[0]).arg(&command[1..]).query(&mut self.client);
        answer.unwrap_or_else(|error| panic!("{}: {error}", command.join(" ")))
    }

    fn select(&mut self, database: usize) {
        self.ask::<()>(&["SELECT", &database.to_string()]);
    }

    /// Has all near caches forget what they keep: they go by the machine's clock, and not by that of the program.
    fn empty_near_caches(&mut self) {
        self.select(EMPTY);
        self.ask::<()>(&["FLUSHDB"]);
    }

    fn deny(&mut self, denial: Denial) {
        match denial {
            Denial::Memory => self.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]),
            Denial::Snapshot => self.ask(&["CONFIG", "SET", "save", "86400 1000000000"]),
            Denial::Replicas => self.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]),
            // of nobody: the port is one that no server has
            Denial::Demoted => self.ask(&["REPLICAOF", "127.0.0.1", "1"]),
            Denial::Command(command) => self.ask(&["ACL", "SETUSER", USER, &format!("-{command}")]),
        }
    }

    fn allow(&mut self) {
        self.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
        self.ask::<()>(&["CONFIG", "SET", "save", ""]);
        self.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        self.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
        self.ask::<()>(&["ACL", "SETUSER", USER, "+@all"]);
    }
}

impl InRedis {
    fn builder(&self) -> RedisBuilder {
        let url = with_server(|server| {
            server.database = self.database;
            format!("{}/{}", server.redis.url(), self.database)
        });
        Redis::builder(url).username(USER).password(PASSWORD).timeout(PATIENT)
    }
}

impl Place for InRedis {
    type Store = Redis;

    const IS_ELSEWHERE: bool = true;
    /// A key is there until the millisecond of its expiry is over.
    const LAST_MOMENT: Duration = Duration::from_millis(1);
    /// A Redis goes by its clock as it is.
    const KEEPS_TIME: bool = false;

    fn new() -> InRedis {
        with_server(|server| server.ask::<()>(&["FLUSHALL"]));
        InRedis { database: 0, lives: Lives::default() }
    }

    fn next(&self) -> InRedis {
        let database = (self.database + 1) % DATABASES;
        with_server(|server| {
            server.select(database);
            server.ask::<()>(&["FLUSHDB"]);
        });
        InRedis { database, lives: self.lives.clone() }
    }

    async fn open(&self, _clock: &Clock) -> Redis {
        let store = self.builder().connect().await;
        store.unwrap_or_else(|error| panic!("the store cannot be opened: {error}"))
    }

    async fn open_near(&self, _store: &Redis) -> Redis {
        let store = self.builder().near_cache(NearCache::default()).connect().await;
        store.unwrap_or_else(|error| panic!("the store with a near cache cannot be opened: {error}"))
    }

    /// On a connection, what Redis tells unasked comes before the answer to a later question. Whoever changes a session that was
    /// not loaded asks for the time, and reckons from that for a second.
    async fn settle(store: &Redis, near: &Redis) {
        let touch = Change::from(Save { touch: true, ..Save::default() });
        for store in [store, near] {
            store.apply(&mint(), &touch, &Terms::default()).await.expect("the store answers");
        }
    }

    fn set_time(&mut self, now: SystemTime) {
        with_server(|server| {
            server.clock.stand_still_at(now);
            server.empty_near_caches();
        });
    }

    fn look_inside(&mut self, may_return: bool) -> Result<(), Wrong> {
        let (mut wrong, sessions): (Vec<String>, Vec<(String, String, String)>) = with_server(|server| {
            server.select(self.database);
            server.ask(&["EVAL", INSPECT, "0"])
        });
        wrong.extend(self.lives.see(sessions, may_return));
        if wrong.is_empty() { Ok(()) } else { Err(format!("who looks at the keys: {}", wrong.join("; "))) }
    }

    fn stored() -> BTreeMap<String, String> {
        let stored: Vec<(String, String)> = with_server(|server| {
            server.select(server.database);
            server.ask(&["EVAL", STORED, "0"])
        });
        stored.into_iter().collect()
    }

    fn being_restored(user: &UserId) -> Vec<String> {
        let markers: Vec<String> = with_server(|server| {
            server.select(server.database);
            server.ask(&["ZRANGEBYSCORE", &format!("session:user:{user}"), "-inf", "(-1000000000000"])
        });
        let id = |marker: &String| marker.split(' ').nth(1).expect("a marker names its session").to_owned();
        markers.iter().map(id).collect()
    }

    fn deny(denial: Option<Denial>) -> bool {
        with_server(|server| match denial {
            Some(denial) => server.deny(denial),
            None => server.allow(),
        });
        true
    }

    fn is_kept(&self) -> bool {
        true
    }

    /// Redis goes on when a server is killed. Its connections go, and the scripts with them, as after a failover.
    fn copy(&mut self) {
        with_server(|server| {
            server.ask::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            server.ask::<()>(&["SCRIPT", "FLUSH"]);
        });
    }

    async fn ends(store: &Redis, id: &SessionId, terms: &Terms) -> Option<SystemTime> {
        place::ends(store, id, terms).await
    }

    async fn save_all(store: &Redis) -> Result<Option<Vec<Saved>>, Wrong> {
        place::save_all(store).await.map(Some)
    }

    async fn restore(store: &Redis, sessions: &[Saved]) -> Result<Vec<Restored>, Wrong> {
        store.restore(sessions).await.map_err(|error| error.to_string())
    }

    async fn move_all(from: &Redis, to: &Redis) -> Result<bool, Wrong> {
        place::move_all(from, to).await.map(|()| true)
    }
}
