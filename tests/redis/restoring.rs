//! Restoring sessions into a Redis that an application uses meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::conformance::with_new_secret;
use cloakroom::store::Outcome;
use cloakroom::store::operate::{Restore as _, Restored, Save as _, Saved};
use cloakroom::store::{Redis, Store, Target};
use cloakroom::{OnLimit, Page, SessionId, store::Credentials};

use crate::support::{FaultProxy, Gate, RedisServer, Trouble};
use crate::{Stand, anna, bind, key, limited, sign_in, touch_of};

const INDEX: &str = "session:user:anna";
const PATIENT: Duration = Duration::from_secs(60);
/// A restore has this many commands: for the index, for the session, and for the index again.
const STEPS: usize = 3;

impl Stand {
    /// Sessions of Anna's from another store, with their tokens.
    async fn saved_elsewhere(&self, count: usize) -> (Vec<Credentials>, Vec<Saved>) {
        let there = Redis::builder(self.server.url()).prefix("there:").timeout(PATIENT).connect().await.unwrap();
        let there =
            Stand { store: there, server: RedisServer::start(), terms: self.terms, client: self.server.client() };
        let mut presented = Vec::new();
        for _ in 0..count {
            presented.push(there.signed_in(&sign_in()).await);
        }
        let ids: Vec<_> = presented.iter().map(|presented| presented.id).collect();
        let saved = there.store.save(&ids, &self.terms).await.unwrap();
        (presented, saved.into_iter().flatten().collect())
    }

    /// Restores a session through a store whose commands wait at a gate. After this many commands, does something else, and then
    /// lets the restore go on.
    async fn restore_around(&self, saved: &Saved, steps: usize, meanwhile: impl AsyncFnOnce(&Stand)) -> Restored {
        let gate = Gate::before(self.server.port()).await;
        let slow = Redis::builder(gate.url()).timeout(PATIENT).connect().await.unwrap();
        gate.close();
        let (saved, finished) = ([saved.clone()], gate.clone());
        let restoring = tokio::spawn(async move {
            let restored = slow.restore(&saved).await.unwrap();
            finished.finish();
            restored[0]
        });
        for _ in 0..steps {
            assert!(gate.asks().await);
            gate.step().await;
        }
        assert_eq!(gate.asks().await, steps < STEPS, "a restore has {STEPS} commands");
        meanwhile(self).await;
        gate.open();
        restoring.await.unwrap()
    }

    async fn lives(&self, presented: &Credentials) -> bool {
        self.load(presented).await.is_some()
    }

    /// A stand whose server knows all scripts already.
    async fn taught() -> Stand {
        let stand = Stand::new().await;
        let (_, saved) = stand.saved_elsewhere(1).await;
        stand.store.restore(&saved).await.unwrap();
        stand.signed_in(&limited(1, OnLimit::EvictOldest)).await;
        stand.listed(&anna()).await;
        stand.revoke(Target::AllOf(anna())).await;
        stand
    }
}

#[tokio::test]
async fn a_list_of_devices_takes_no_session_that_is_being_restored_for_one_that_has_ended() {
    let stand = Stand::taught().await;
    for steps in 0..=STEPS {
        let (presented, saved) = stand.saved_elsewhere(1).await;
        let list = async |stand: &Stand| drop(stand.listed(&anna()).await);
        assert_eq!(stand.restore_around(&saved[0], steps, list).await, Restored::Made, "{steps}");
        assert!(stand.lives(&presented[0]).await);
        assert_eq!(stand.listed(&anna()).await, [presented[0].id], "{steps}");
        assert_eq!(stand.revoke(Target::AllOf(anna())).await, 1, "{steps}");
        assert!(!stand.lives(&presented[0]).await);
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_a_session_that_is_being_restored() {
    let mut stand = Stand::taught().await;
    for steps in 0..=STEPS {
        let (presented, saved) = stand.saved_elsewhere(1).await;
        let revoke = async |stand: &Stand| {
            stand.revoke(Target::AllOf(anna())).await;
        };
        let restored = stand.restore_around(&saved[0], steps, revoke).await;
        // a restore that has not done its first step comes after the revoke; after its last step, the session is like any other
        let expected = if (1..STEPS).contains(&steps) { Restored::Ended } else { Restored::Made };
        assert_eq!(restored, expected, "{steps}");
        assert_eq!(stand.lives(&presented[0]).await, steps == 0, "{steps}");
        stand.revoke(Target::AllOf(anna())).await;
        assert!(!stand.ask::<bool>("EXISTS", key(&presented[0])));
    }
}

#[tokio::test]
async fn signing_out_the_others_ends_what_is_being_restored_but_not_the_one_that_asks() {
    let stand = Stand::taught().await;
    for steps in 1..STEPS {
        let (presented, saved) = stand.saved_elsewhere(2).await;
        let kept = presented[0].id;
        let others = async |stand: &Stand| {
            stand.revoke(Target::OthersOf(anna(), kept)).await;
        };
        assert_eq!(stand.restore_around(&saved[0], steps, others).await, Restored::Made, "{steps}");
        assert_eq!(stand.restore_around(&saved[1], steps, others).await, Restored::Ended, "{steps}");
        assert_eq!((stand.lives(&presented[0]).await, stand.lives(&presented[1]).await), (true, false), "{steps}");
        stand.revoke(Target::AllOf(anna())).await;
    }
}

#[tokio::test]
async fn a_limit_holds_for_a_session_that_is_being_restored_once_it_is_there() {
    let stand = Stand::taught().await;
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        for steps in 0..=STEPS {
            let (presented, saved) = stand.saved_elsewhere(1).await;
            let visitor = stand.session(&[]).await;
            let change = bind(&with_new_secret(&visitor), &limited(1, on_limit));
            let mut answer = None;
            let sign_in = async |stand: &Stand| answer = Some(stand.apply(&visitor, &change).await);
            let restored = stand.restore_around(&saved[0], steps, sign_in).await;
            let at = format!("{on_limit:?}, {steps}");
            // a sign-in before the session is there does not count the session, and a restore looks at no limit
            let is_there = steps >= 2;
            let is_evicted = is_there && on_limit == OnLimit::EvictOldest;
            let is_let_in = !is_there || on_limit == OnLimit::EvictOldest;
            assert_eq!(matches!(answer, Some(Outcome::Done { .. })), is_let_in, "{at}");
            assert_eq!(restored, Restored::Made, "{at}");
            assert_eq!(stand.lives(&presented[0]).await, !is_evicted, "{at}");
            let alive = u64::from(is_let_in) + u64::from(!is_evicted);
            assert_eq!(stand.listed(&anna()).await.len() as u64, alive, "{at}");
            assert_eq!(stand.revoke(Target::AllOf(anna())).await, alive, "{at}");
        }
    }
}

#[tokio::test]
async fn a_restore_writes_its_session_again_to_an_index_from_which_an_older_program_has_taken_it() {
    let stand = Stand::taught().await;
    for steps in 1..STEPS {
        let (presented, saved) = stand.saved_elsewhere(1).await;
        let id = presented[0].id;
        let prune = async |stand: &Stand| stand.server.ask::<()>(&["ZREM", INDEX, id.expose()]);
        assert_eq!(stand.restore_around(&saved[0], steps, prune).await, Restored::Made, "{steps}");
        assert_eq!(stand.listed(&anna()).await, [id], "{steps}");
        stand.revoke(Target::AllOf(anna())).await;
    }
}

#[tokio::test]
async fn a_saved_session_that_has_ended_since_is_not_restored_and_leaves_no_trace_in_the_index() {
    let mut stand = Stand::new().await;
    let (presented, mut saved) = stand.saved_elsewhere(1).await;
    Arc::make_mut(&mut saved[0].record).last_accessed_at -= stand.terms.idle_timeout;
    assert_eq!(stand.store.restore(&saved).await.unwrap(), [Restored::Ended]);
    assert!(!stand.ask::<bool>("EXISTS", key(&presented[0])));
    assert!(stand.listed(&anna()).await.is_empty());
    assert!(!stand.ask::<bool>("EXISTS", INDEX));
}

#[tokio::test]
async fn a_list_that_misses_a_session_while_it_is_replaced_keeps_it_in_the_index() {
    let stand = Stand::taught().await;
    let (presented, saved) = stand.saved_elsewhere(1).await;
    // twice, because after the first time the session's entry has the other of two scores
    for _ in 0..2 {
        stand.revoke(Target::Session(presented[0].id)).await;
        let gate = Gate::before(stand.server.port()).await;
        let slow = Redis::builder(gate.url()).timeout(PATIENT).connect().await.unwrap();
        stand.store.restore(&saved).await.unwrap();
        stand.revoke(Target::Session(presented[0].id)).await;
        gate.close();
        let terms = stand.terms;
        let list = tokio::spawn(async move { slow.list(&anna(), Page::default(), &terms).await.unwrap() });
        // one command for the index, and two for the session
        for _ in 0..3 {
            assert!(gate.asks().await);
            gate.step().await;
        }
        assert!(gate.asks().await, "it is about to prune");
        assert_eq!(stand.store.restore(&saved).await.unwrap(), [Restored::Made]);
        gate.open();
        assert_eq!(list.await.unwrap().len(), 1);
        assert_eq!(stand.listed(&anna()).await, [presented[0].id]);
    }
    let again = stand.store.save(&[presented[0].id], &stand.terms).await.unwrap();
    assert_eq!(again, [Some(saved[0].clone())], "the time of the sign-in is the same");
}

#[tokio::test]
async fn a_restore_that_finds_its_session_there_disturbs_no_other_that_makes_it() {
    let mut stand = Stand::taught().await;
    for steps in 1..STEPS {
        let (presented, saved) = stand.saved_elsewhere(1).await;
        let mut second = None;
        let again = async |stand: &Stand| second = Some(stand.store.restore(&saved).await.unwrap()[0]);
        let first = stand.restore_around(&saved[0], steps, again).await;
        let mut both = [first, second.unwrap()];
        both.sort_by_key(|restored| *restored != Restored::Made);
        assert_eq!(both, [Restored::Made, Restored::Taken], "{steps}");
        assert!(stand.lives(&presented[0]).await, "{steps}");
        let index: Vec<String> = stand.ask("ZRANGE", (INDEX, 0, -1));
        assert!(!index.iter().any(|member| member.contains(' ')), "no marker stays: {index:?}");
        assert_eq!(stand.revoke(Target::AllOf(anna())).await, 1);
    }
}

#[tokio::test]
async fn what_a_restore_that_died_has_made_ends_with_the_others_and_what_it_has_not_leaves_no_trace() {
    for steps in 1..STEPS {
        let mut stand = Stand::on(RedisServer::start(), PATIENT).await;
        let (other, _) = (stand.saved_elsewhere(1).await, stand.listed(&anna()).await);
        // the server knows the scripts
        stand.store.restore(&other.1).await.unwrap();
        stand.revoke(Target::AllOf(anna())).await;
        let _: () = stand.ask("DEL", INDEX);
        let (presented, saved) = stand.saved_elsewhere(1).await;
        let gate = Gate::before(stand.server.port()).await;
        let dying = Redis::builder(gate.url()).timeout(PATIENT).connect().await.unwrap();
        gate.close();
        let restoring = tokio::spawn(async move { dying.restore(&saved).await });
        for _ in 0..steps {
            assert!(gate.asks().await);
            gate.step().await;
        }
        restoring.abort();
        let is_made = steps > 1;
        assert_eq!(stand.lives(&presented[0]).await, is_made);
        assert_eq!(stand.listed(&anna()).await.len(), usize::from(is_made));
        if is_made {
            // this holds even if somebody who found no session a moment ago has taken the id out of the index
            let _: () = stand.ask("ZREM", (INDEX, presented[0].id.expose()));
            assert_eq!(stand.revoke(Target::AllOf(anna())).await, 1);
            assert!(!stand.lives(&presented[0]).await);
        }
        let signed_in = stand.signed_in(&sign_in()).await;
        assert_eq!(stand.listed(&anna()).await, [signed_in.id]);
        assert_eq!(stand.revoke(Target::AllOf(anna())).await, 1);
        let signed_in = stand.signed_in(&sign_in()).await;
        assert_eq!(stand.listed(&anna()).await, [signed_in.id]);
        assert_eq!(stand.ask::<Vec<String>>("ZRANGE", (INDEX, 0, -1)), [signed_in.id.expose()]);
    }
}

#[tokio::test]
async fn the_marker_of_a_restore_says_when_it_began() {
    let mut stand = Stand::taught().await;
    let (_, saved) = stand.saved_elsewhere(1).await;
    let before = stand.time();
    let restored = stand.restore_around(&saved[0], 1, async |stand| {
        let (marker, score): (String, f64) = stand.server.ask(&["ZRANGE", INDEX, "0", "0", "WITHSCORES"]);
        assert!(marker.starts_with(&format!("restoring {} ", saved[0].id.expose())), "{marker}");
        let (began, now) = (-1e12 - score, stand.server.ask::<(f64, f64)>(&["TIME"]).0);
        // the store may reckon the time, which is behind by one round trip at most
        assert!((before as f64 / 1000.0 - 1.0..=now + 1.0).contains(&began), "{began}");
    });
    assert_eq!(restored.await, Restored::Made);
}

#[tokio::test]
async fn the_marker_of_a_restore_stays_only_where_the_session_may_have_been_made() {
    for is_answer_lost in [false, true] {
        let mut stand = Stand::taught().await;
        let (_, saved) = stand.saved_elsewhere(1).await;
        let network = FaultProxy::before(stand.server.port()).await;
        let gate = Gate::before(network.port()).await;
        let failing = Redis::builder(gate.url()).timeout(PATIENT).connect().await.unwrap();
        gate.close();
        let restoring = tokio::spawn(async move { failing.restore(&saved).await });
        // the marker is written, and the command that makes the session stands before the gate
        assert!(gate.asks().await);
        gate.step().await;
        assert!(gate.asks().await);
        match is_answer_lost {
            true => network.set(Trouble::LoseReplies),
            false => stand.ask("CONFIG", ["SET", "maxmemory", "1"].as_slice()),
        }
        gate.open();
        let error = restoring.await.unwrap().unwrap_err();
        assert_eq!(error.is_unknown(), is_answer_lost, "{error}");
        let markers: usize = stand.ask("ZCOUNT", (INDEX, "-inf", "(-1000000000000"));
        assert_eq!(markers, usize::from(is_answer_lost));
    }
}

#[tokio::test]
async fn what_a_restore_that_died_has_made_is_listed_again_by_its_next_touch_though_its_id_was_taken_out() {
    let mut stand = Stand::new().await;
    let before = stand.signed_in(&sign_in()).await;
    let after = stand.signed_in(&sign_in()).await;
    // a list found no session a moment before the session was made, and took the id out; a restore died a moment after it
    // had made the session; both together leave this behind
    let (id, score) = (before.id.expose(), stand.ask::<String>("ZSCORE", (INDEX, before.id.expose())));
    let began = -1e12 - stand.time() as f64 / 1000.0;
    let _: () = stand.ask("ZADD", (INDEX, began, format!("restoring {id} {score} 1")));
    let _: () = stand.ask("ZREM", (INDEX, id));
    assert_eq!(stand.listed(&anna()).await, [after.id]);
    let loaded = stand.load(&before).await.expect("it lives");
    stand.made(&before, &touch_of(&loaded)).await;
    assert_eq!(stand.listed(&anna()).await, [after.id, before.id], "in the order of sign-in");
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, 2);
    assert_eq!(stand.ask::<u64>("ZCOUNT", (INDEX, "-inf", "(0")), 0, "no marker stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_sessions_are_restored_while_devices_are_listed_and_everybody_is_signed_out() {
    const SESSIONS: usize = 400;
    let stand = Stand::new().await;
    let (presented, saved) = stand.saved_elsewhere(SESSIONS).await;
    let (terms, is_over) = (stand.terms, Arc::new(AtomicBool::new(false)));
    let lists: Vec<_> = (0..3)
        .map(|_| {
            let (store, is_over) = (stand.store.clone(), is_over.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    store.list(&anna(), Page { offset: 0, limit: 1000 }, &terms).await.unwrap();
                }
            })
        })
        .collect();
    let (progress, mut made) = tokio::sync::mpsc::unbounded_channel::<(SessionId, Restored)>();
    let store = stand.store.clone();
    let restoring = tokio::spawn(async move {
        for some in saved.chunks(10) {
            for (saved, restored) in some.iter().zip(store.restore(some).await.unwrap()) {
                progress.send((saved.id, restored)).unwrap();
            }
        }
    });
    let mut answers = Vec::new();
    let mut before_the_last_revoke = BTreeSet::new();
    while let Some(answer) = made.recv().await {
        answers.push(answer);
        if answers.len() % (SESSIONS / 8) == 0 && answers.len() < SESSIONS {
            while let Ok(answer) = made.try_recv() {
                answers.push(answer);
            }
            before_the_last_revoke = answers.iter().map(|(id, _)| *id).collect();
            stand.revoke(Target::AllOf(anna())).await;
        }
    }
    restoring.await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    for list in lists {
        list.await.unwrap();
    }
    let mut alive = BTreeSet::new();
    for presented in &presented {
        if stand.lives(presented).await {
            alive.insert(presented.id);
        }
    }
    let survivors: Vec<_> = alive.intersection(&before_the_last_revoke).collect();
    assert!(survivors.is_empty(), "{} of {} survived", survivors.len(), before_the_last_revoke.len());
    assert!(!before_the_last_revoke.is_empty() && !alive.is_empty(), "there was something to see");
    let ended: BTreeSet<_> = answers.iter().filter(|(_, made)| *made == Restored::Ended).map(|(id, _)| *id).collect();
    assert!(alive.is_disjoint(&ended));
    assert_eq!(stand.listed(&anna()).await.into_iter().collect::<BTreeSet<_>>(), alive, "the index misses none");
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, alive.len() as u64);
}
