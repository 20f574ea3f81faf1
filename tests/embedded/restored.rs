//! Whole sessions that come from another store.

use std::path::Path;
use std::time::{Duration, SystemTime};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::{Restore as _, Restored, Save as _, Saved};
use cloakroom::store::{Embedded, Store, Target};
use cloakroom::{
    Clock, Page, SessionId, UserId,
    store::{Change, Credentials, SignIn, Terms},
};

use crate::crashes::sign_in;

async fn signed_in(store: &Embedded, most: usize) -> SessionId {
    let presented: Credentials = mint();
    store.create(&new_session(presented, Default::default()), &Terms::default()).await.unwrap();
    let new = SignIn { max_sessions: most, ..sign_in("andrew".try_into().unwrap()) };
    let change = Change::SignIn { new, secret_hash: mint().secret_hash.unwrap() };
    store.apply(&presented, &change, &Terms::default()).await.unwrap();
    presented.id
}

async fn saved(store: &Embedded, ids: &[SessionId]) -> Vec<Saved> {
    store.save(ids, &Terms::default()).await.unwrap().into_iter().flatten().collect()
}

async fn latest_first(store: &Embedded) -> Vec<SessionId> {
    let (user, terms) = (UserId::try_from("andrew").unwrap(), Terms::default());
    let devices = store.list(&user, Page::default(), &terms).await.unwrap();
    devices.into_iter().map(|device| device.id).collect()
}

#[tokio::test]
async fn restored_sessions_keep_their_order_of_sign_in_and_a_new_sign_in_is_the_latest() {
    let dir = tempfile::tempdir().unwrap();
    let there = Embedded::open(dir.path().join("there")).unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(signed_in(&there, 9).await);
    }
    let sessions = saved(&there, &ids).await;
    let mut shuffled = sessions.clone();
    shuffled.swap(0, 3);
    let path = dir.path().join("here");
    let here = Embedded::open(&path).unwrap();
    assert_eq!(here.restore(&shuffled[..3]).await.unwrap(), [Restored::Made; 3]);
    assert_eq!(here.restore(&shuffled[3..]).await.unwrap(), [Restored::Made; 2]);
    assert_eq!(saved(&here, &ids).await, sessions);
    ids.push(signed_in(&here, 9).await);
    ids.reverse();
    assert_eq!(latest_first(&here).await, ids);
    drop(here);
    assert_eq!(latest_first(&Embedded::open(&path).unwrap()).await, ids, "also after a restart");
}

#[tokio::test]
async fn a_saved_session_says_when_its_user_signed_in() {
    let dir = tempfile::tempdir().unwrap();
    let signed_in_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_775_133_296_007);
    let store = Embedded::builder(dir.path()).clock(Clock::manual(signed_in_at)).open().unwrap();
    let session = signed_in(&store, 9).await;
    assert_eq!(saved(&store, &[session]).await[0].signed_in_at, Some(signed_in_at));
}

#[tokio::test]
async fn sessions_of_two_stores_that_signed_in_at_the_same_moment_keep_their_order_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("here");
    let clock = Clock::manual(SystemTime::now());
    let open = |path: &Path| Embedded::builder(path).clock(clock.clone()).open().unwrap();
    let here = open(&path);
    for name in ["one", "two", "three", "four", "five", "six"] {
        let there = open(&dir.path().join(name));
        let session = signed_in(&there, 9).await;
        assert_eq!(here.restore(&saved(&there, &[session]).await).await.unwrap(), [Restored::Made]);
    }
    let listed = latest_first(&here).await;
    assert!(listed.is_sorted_by(|one, other| one > other), "the ids decide, as in Redis: {listed:?}");
    drop(here);
    assert_eq!(latest_first(&open(&path)).await, listed);
}

#[tokio::test]
async fn restoring_keeps_what_is_there_and_does_not_create_what_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(SystemTime::now());
    let open = |name: &str| Embedded::builder(dir.path().join(name)).clock(clock.clone()).open().unwrap();
    let (there, here) = (open("there"), open("here"));
    let first = signed_in(&there, 1).await;
    let session = saved(&there, &[first]).await;
    let twice = [session[0].clone(), session[0].clone()];
    assert_eq!(here.restore(&twice).await.unwrap(), [Restored::Made, Restored::Taken]);
    assert_eq!(here.restore(&session).await.unwrap(), [Restored::Taken]);
    // evicted here: the trace of that stands in its place
    signed_in(&here, 1).await;
    assert_eq!(saved(&here, &[first]).await, []);
    assert_eq!(here.restore(&session).await.unwrap(), [Restored::Taken]);

    let second = signed_in(&there, 9).await;
    let session = saved(&there, &[second]).await;
    there.revoke(&Target::Session(second)).await.unwrap();
    assert_eq!(saved(&there, &[second]).await, []);
    clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(here.restore(&session).await.unwrap(), [Restored::Ended]);
    assert_eq!(saved(&here, &[second]).await, []);
}
