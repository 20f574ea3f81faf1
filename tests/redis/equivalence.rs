//! Redis does what `Record::apply` says: random programs of verbs get the same answers from Redis and from memory, and leave
//! the same fields behind.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cloakroom::store::operate::Inspect as _;
use cloakroom::store::{
    Change, Credentials, Fields, Loaded, Lookup, Memory, NewSession, Outcome, Redis, SignedOut, Store, StoreError,
    Target, Terms,
};
use cloakroom::{Clock, Device, Page, SessionId, UserId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::RedisServer;
use crate::verbs::{Times, run, secrets, step};

const SESSIONS: usize = 2;
/// A limit that nobody reaches. All programs have the same users, so these tests do not ask whose sessions a limit ends.
const MANY: usize = 1_000_000;

/// The fields at a session's key, and in memory, without their times.
async fn stored(
    memory: &Memory,
    terms: &Terms,
    secrets: &[Credentials],
    client: &mut redis::Connection,
) -> [Fields; 2] {
    let mut in_memory = Fields::new();
    for presented in secrets {
        if let Lookup::Live(loaded) = memory.load(presented, terms).await.unwrap() {
            in_memory = loaded.record.to_stored().into_iter().collect();
        }
    }
    let in_redis: HashMap<String, String> = redis::cmd("HGETALL").arg(crate::key(&secrets[0])).query(client).unwrap();
    let is_time = |name: &str| name.ends_with("_at") || name.ends_with("_until") || name == "auth_time";
    [in_memory, in_redis.iter().collect()].map(|fields: Fields| {
        let is_own = |name: &str, text: &str| name == "expires_at" && fields.get("own_deadline") == Some(text);
        let shown = |name, text| if is_time(name) && !is_own(name, text) { "(a time)" } else { text };
        fields.iter().map(|(name, text)| (name, shown(name, text))).collect()
    })
}

#[test]
fn random_programs_do_the_same_in_redis_and_in_memory() {
    run_programs(|redis| redis);
}

#[test]
fn random_programs_do_the_same_in_redis_when_changes_are_planned_on_what_was_loaded_long_before() {
    run_programs(|redis| Remembering { redis, loaded: Mutex::default(), asked: AtomicUsize::new(0) });
}

/// A store that plans its changes on sessions as they once were: each session is loaded only now and then.
struct Remembering {
    redis: Redis,
    loaded: Mutex<HashMap<SessionId, Loaded>>,
    asked: AtomicUsize,
}

impl Remembering {
    /// A session as it was at one of the last four changes, if it was there.
    async fn remembered(&self, id: &SessionId, terms: &Terms) -> Option<Loaded> {
        if self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) {
            let found = self.redis.find(id, terms).await.unwrap();
            let mut loaded = self.loaded.lock().unwrap();
            match found {
                Some(found) => loaded.insert(*id, found),
                None => loaded.remove(id),
            };
        }
        self.loaded.lock().unwrap().get(id).cloned()
    }

    fn forget(&self, id: &SessionId) {
        self.loaded.lock().unwrap().remove(id);
    }
}

impl Store for Remembering {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        self.forget(&new.presented.id); // an id never comes back outside of these tests
        self.redis.create(new, terms).await
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.redis.load(presented, terms).await
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        self.redis.load_by_id(id, terms).await
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        let Some(loaded) = self.remembered(&presented.id, terms).await else {
            return self.redis.apply(presented, change, terms).await;
        };
        Ok(match self.redis.apply_to(&loaded, presented, change, terms).await? {
            // changes that others made in other fields are seen when the session is read again
            Outcome::Done { evicted, .. } => {
                let found = self.redis.find(&presented.id, terms).await?.expect("it was changed");
                let has_new_secret = !matches!(change, Change::Save(_));
                if has_new_secret && found.record.secret_hash == loaded.record.secret_hash {
                    self.forget(&presented.id); // nor does a secret that was replaced
                }
                Outcome::done(found, evicted)
            }
            refused => refused,
        })
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        self.redis.sign_out(presented).await
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        self.redis.revoke(target).await
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.redis.list(user, page, terms).await
    }
}

fn run_programs<S: Store>(store: impl FnOnce(Redis) -> S) {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let builder = Redis::builder(server.url()).timeout(Duration::from_secs(30));
    let redis = store(runtime.block_on(builder.connect()).unwrap());
    // small limits, so that the programs reach them
    let terms = Terms { max_fields: 3, max_bytes: 64, ..Terms::default() };

    let config = Config { cases: 250, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(step(SESSIONS, MANY), 1..24), |program| {
        let memory = Memory::with_clock(Clock::manual(SystemTime::now()));
        let sessions: [_; SESSIONS] = std::array::from_fn(|_| secrets());
        let mut client = server.client();
        runtime.block_on(async {
            for (session, secret, verb) in &program {
                let secrets = &sessions[*session];
                let expected = run(&memory, &terms, secrets, *secret, verb, Times::Each).await;
                prop_assert_eq!(run(&redis, &terms, secrets, *secret, verb, Times::Each).await, expected, "{:?}", verb);
                let [in_memory, in_redis] = stored(&memory, &terms, secrets, &mut client).await;
                prop_assert_eq!(in_redis, in_memory, "after {:?}", verb);
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
