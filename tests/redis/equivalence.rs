//! The scripts do what `Record::apply` does: random programs of verbs get the same answers from Redis and from memory,
//! and leave the same fields behind.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use cloakroom::store::{Lookup, Memory, Redis, Store};
use cloakroom::{
    Clock,
    store::{Credentials, Fields, Terms},
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::RedisServer;
use crate::verbs::{Times, run, secrets, step};

const SESSIONS: usize = 2;
/// Who is ended beyond a limit is not asked here: all programs have the same users.
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
        fields.iter().map(|(name, text)| (name, if is_time(name) { "(a time)" } else { text })).collect()
    })
}

#[test]
fn random_programs_do_the_same_in_redis_and_in_memory() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let builder = Redis::builder(server.url()).timeout(Duration::from_secs(30));
    let redis = runtime.block_on(builder.connect()).unwrap();
    // small limits, so that they are met
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
