//! The limit on a user's sessions through time: on a server whose clock a test moves, and in memory beside it.

use std::time::{Duration, SystemTime};

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::{Memory, Outcome, Store, Target};
use cloakroom::{
    Clock, OnLimit, Page, SessionId, UserId,
    store::{Change, Credentials, Fields, Refusal, SignIn, Terms},
};

use crate::support::ServerClock;
use crate::{Stand, bind, sign_in, touch};

/// No sum of the steps of a program is one of these times, so that it does not matter how long the steps themselves take.
const IDLE: Duration = Duration::from_secs(61 * 60);
const ABSOLUTE: Duration = Duration::from_secs(727 * 60);
const STEP: Duration = Duration::from_secs(25 * 60);

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_of(&mut self, all: &[Credentials]) -> Option<usize> {
        (!all.is_empty()).then(|| self.below(all.len() as u64) as usize)
    }
}

/// A store in Redis and one in memory, and a clock for each.
struct Both {
    redis: Stand,
    redis_clock: ServerClock,
    memory: Memory,
    memory_clock: Clock,
    terms: Terms,
}

impl Both {
    async fn new() -> Both {
        let redis_clock = ServerClock::new();
        let redis = Stand::with_clock(&redis_clock).await;
        let memory_clock = Clock::manual(SystemTime::now());
        let memory = Memory::with_clock(memory_clock.clone());
        let terms = Terms { idle_timeout: IDLE, absolute_lifetime: ABSOLUTE, ..redis.terms };
        Both { redis, redis_clock, memory, memory_clock, terms }
    }

    async fn create(&self) -> Credentials {
        let visitor = mint();
        let new = new_session(visitor, Fields::new());
        self.redis.store.create(&new, &self.terms).await.unwrap();
        self.memory.create(&new, &self.terms).await.unwrap();
        visitor
    }

    /// What became of a change, without the session. Asserts that this is the same in both stores.
    async fn apply(&self, presented: &Credentials, change: &Change) -> Result<Vec<SessionId>, Refusal> {
        let outcome = |outcome| match outcome {
            Outcome::Done { evicted, .. } => Ok(evicted),
            Outcome::Refused(refusal) => Err(refusal),
        };
        let in_redis = outcome(self.redis.store.apply(presented, change, &self.terms).await.unwrap());
        let in_memory = outcome(self.memory.apply(presented, change, &self.terms).await.unwrap());
        assert_eq!(in_redis, in_memory);
        in_memory
    }

    async fn end(&self, id: SessionId) {
        let target = Target::Session(id);
        assert_eq!(self.redis.revoke(target.clone()).await, self.memory.revoke(&target).await.unwrap());
    }

    fn advance(&mut self, by: Duration) {
        self.redis_clock.advance(by);
        self.memory_clock.advance(by);
    }

    async fn assert_lists_are_the_same(&self, user: &UserId) {
        let page = Page { offset: 0, limit: 1000 };
        let in_memory = self.memory.list(user, page, &self.terms).await.unwrap();
        let in_memory: Vec<_> = in_memory.into_iter().map(|device| device.id).collect();
        assert_eq!(self.redis.listed(user).await, in_memory);
    }
}

#[tokio::test]
async fn the_limit_is_in_redis_what_it_is_in_memory_whatever_time_passes() {
    let mut both = Both::new().await;
    for seed in 0..100 {
        eprintln!("program {seed}:");
        let mut numbers = Numbers(seed);
        let user = UserId::try_from(format!("anna {seed}").as_str()).unwrap();
        let mut browsers: Vec<Credentials> = Vec::new();
        for _ in 0..40 {
            let max_sessions = 1 + numbers.below(3) as usize;
            let on_limit = if numbers.below(3) == 0 { OnLimit::EvictOldest } else { OnLimit::RefuseNew };
            let (one, what) = (numbers.one_of(&browsers), numbers.below(8));
            match (what, one) {
                (0..4, _) => {
                    let one = match one.filter(|_| what >= 2) {
                        Some(one) => one,
                        None => {
                            browsers.push(both.create().await);
                            browsers.len() - 1
                        }
                    };
                    eprintln!("{one} signs in, at most {max_sessions}, {on_limit:?}");
                    let rotated = with_new_secret(&browsers[one]);
                    let new = SignIn { user: user.clone(), max_sessions, on_limit, ..sign_in() };
                    let answer = both.apply(&browsers[one], &bind(&rotated, &new)).await;
                    eprintln!("    {answer:?}");
                    // otherwise another click comes with the secret from before
                    if answer.is_ok() && numbers.below(4) > 0 {
                        browsers[one] = rotated;
                    }
                }
                (4, Some(one)) => {
                    eprintln!("{one} comes");
                    let _ = both.apply(&browsers[one], &touch()).await;
                }
                (5, Some(one)) => {
                    eprintln!("{one} ends");
                    both.end(browsers[one].id).await;
                }
                _ => {
                    let steps = 1 + numbers.below(2) as u32;
                    eprintln!("{:?} pass", steps * STEP);
                    both.advance(steps * STEP);
                }
            }
            // not after each step, because a list takes the sessions that have ended out of the index
            if numbers.below(4) == 0 {
                both.assert_lists_are_the_same(&user).await;
            }
        }
        both.assert_lists_are_the_same(&user).await;
    }
}
