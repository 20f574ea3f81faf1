//! A real Redis whose clock stands still between two steps, and moves when the program says so.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use cloakroom::store::{Redis, Restore, Restored, Saved, Terms};
use cloakroom::{Clock, SessionId};

use crate::oracle::Wrong;
use crate::place::{self, Place};
use crate::support::{RedisServer, ServerClock};

/// Redis has as many logical databases, if nobody says otherwise.
const DATABASES: usize = 16;

/// Says what is wrong with the keys of a database.
const INSPECT: &str = include_str!("inspect.lua");

/// One of the logical databases of this thread's server.
pub(crate) struct InRedis {
    database: usize,
}

struct Server {
    // stopped before its clock goes
    redis: RedisServer,
    clock: ServerClock,
    client: redis::Connection,
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
        Server { redis, clock, client }
    }

    fn ask<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> T {
        let answer = redis::cmd(command[0]).arg(&command[1..]).query(&mut self.client);
        answer.unwrap_or_else(|error| panic!("{}: {error}", command[0]))
    }

    fn select(&mut self, database: usize) {
        self.ask::<()>(&["SELECT", &database.to_string()]);
    }
}

impl Place for InRedis {
    type Store = Redis;

    const IS_ELSEWHERE: bool = true;
    /// A key is there until the millisecond of its expiry is over.
    const LAST_MOMENT: Duration = Duration::from_millis(1);
    /// A Redis goes by its clock as it is. What the oracle expects of a clock that goes back is said of the others.
    const KEEPS_TIME: bool = false;

    fn new() -> InRedis {
        with_server(|server| server.ask::<()>(&["FLUSHALL"]));
        InRedis { database: 0 }
    }

    fn next(&self) -> InRedis {
        let database = (self.database + 1) % DATABASES;
        with_server(|server| {
            server.select(database);
            server.ask::<()>(&["FLUSHDB"]);
        });
        InRedis { database }
    }

    async fn open(&self, _clock: &Clock) -> Redis {
        let url = with_server(|server| format!("{}/{}", server.redis.url(), self.database));
        let store = Redis::builder(url).timeout(Duration::from_secs(20)).connect().await;
        store.unwrap_or_else(|error| panic!("the store cannot be opened: {error}"))
    }

    fn set_time(&mut self, now: SystemTime) {
        with_server(|server| server.clock.stand_still_at(now));
    }

    fn look_inside(&self) -> Result<(), Wrong> {
        let wrong: Vec<String> = with_server(|server| {
            server.select(self.database);
            server.ask(&["EVAL", INSPECT, "0"])
        });
        if wrong.is_empty() { Ok(()) } else { Err(format!("who looks at the keys: {}", wrong.join("; "))) }
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
