//! Two servers with near caches, many sessions, random verbs on both: every answer is one that the session had at some time
//! within what is promised.

use std::time::{Duration, Instant};

use cloakroom::store::NearCache;

use super::builder;
use crate::support::{Numbers, RedisServer};
use crate::{Kept, PATIENT};

const SESSIONS: usize = 1000;
const STEPS: usize = 20_000;
const D: Duration = Duration::from_secs(2);
const SEED: u64 = 0xC10A_4200;

/// What a session was, one state after the other, and since when: the last one is what it is.
struct History(Vec<(Instant, Option<u64>)>);

impl History {
    fn becomes(&mut self, state: Option<u64>) {
        self.0.push((Instant::now(), state));
    }

    fn is(&self) -> Option<u64> {
        self.0.last().expect("it was made").1
    }

    /// Whether it was this at some time after `oldest`.
    fn was(&self, state: Option<u64>, oldest: Instant) -> bool {
        let until = self.0.iter().skip(1).map(|(since, _)| Some(*since)).chain([None]);
        self.0.iter().zip(until).any(|((_, was), until)| *was == state && until.is_none_or(|until| until >= oldest))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_what_the_session_was_within_the_promised_time() {
    let server = RedisServer::start();
    let near = NearCache::default().silence_limit(D);
    let connect = || Kept::on(builder(server.url()).timeout(PATIENT).near_cache(near));
    let servers = [connect().await, connect().await];
    let new = async |here: &Kept| (here.session().await, History(vec![(Instant::now(), Some(0))]));
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        sessions.push(new(&servers[number % 2]).await);
    }
    let mut numbers = Numbers(SEED);
    let mut stale = 0;
    for step in 0..STEPS {
        let at = numbers.below(SESSIONS);
        let here = &servers[numbers.below(2)];
        let (presented, history) = &mut sessions[at];
        match numbers.below(100) {
            0..3 => {
                let ended = here.revoke(presented).await.unwrap();
                assert_eq!(ended, u64::from(history.is().is_some()), "step {step}");
                history.becomes(None);
                assert!(!here.lives(presented).await, "step {step}: it was ended by this very server");
                // some that have ended are asked for again and again
                if numbers.below(2) == 0 {
                    sessions[at] = new(here).await;
                }
            }
            3..20 if history.is().is_some() => {
                let count = here.count(presented).await.unwrap();
                assert_eq!(Some(count), history.is().map(|count| count + 1), "step {step}: it counts where it is kept");
                history.becomes(Some(count));
                assert_eq!(here.counter(presented).await, count, "step {step}: it was changed by this very server");
            }
            _ => {
                let asked = Instant::now();
                let loaded = here.load(presented).await.unwrap().map(|loaded| crate::counter_of(&loaded));
                stale += usize::from(loaded != history.is());
                assert!(history.was(loaded, asked - D), "step {step}: {loaded:?} of {:?}", history.0);
            }
        }
    }
    eprintln!("seed {SEED:#x}: {STEPS} steps, {stale} answers a little behind");
}
