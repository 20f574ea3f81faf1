//! Reading sessions.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use tokio::task::JoinSet;

use super::given::{fields, given, given_lifetimes, rotate_to, set};
use super::{Fixture, mint, with_new_secret};
use crate::record::{Credentials, Refusal};
use crate::store::{Outcome, Store as _};

pub async fn a_session_that_nobody_made_is_not_there<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    given.session(&[("a", "1")]).await;
    given.assert_gone(&mint()).await;
}

pub async fn a_wrong_secret_reads_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let owner = given.session(&[("a", "1")]).await;
    let before = given.record(&owner).await;
    assert_eq!(given.load(&with_new_secret(&owner)).await, None);
    assert_eq!(given.record(&owner).await, before);
}

pub async fn the_session_id_alone_opens_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let owner = given.session(&[("a", "1")]).await;
    let id_alone = Credentials { secret_hash: None, ..owner };
    assert_eq!(given.load(&id_alone).await, None);
    assert_eq!(given.apply(&id_alone, &set("a", "2")).await, Outcome::Refused(Refusal::Gone));
    assert_eq!(given.fields(&owner).await, fields(&[("a", "1")]));
}

pub async fn a_session_is_read_by_its_id_as_long_as_it_lives<F: Fixture>(fixture: &F) {
    let given = given_lifetimes(fixture, 1, 100).await;
    let (kept, ended, idle) = (given.session(&[("a", "1")]).await, given.session(&[]).await, given.session(&[]).await);
    let rotated = with_new_secret(&kept);
    given.apply(&kept, &rotate_to(&rotated)).await.made();
    assert_eq!(given.by_id(&kept).await, Some(given.record(&rotated).await), "whatever its secret is");
    given.revoke(&ended).await;
    assert_eq!(given.by_id(&ended).await, None);
    assert_eq!(given.by_id(&mint()).await, None);
    assert!(given.by_id(&idle).await.is_some());
    fixture.advance(Duration::from_millis(1010)).await;
    assert_eq!(given.by_id(&idle).await, None);
}

pub async fn whoever_watches_a_session_hears_of_its_end_and_of_its_new_secret<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let rotated = with_new_secret(&presented);
    // a store that cannot tell is asked at intervals
    let Some(mut watch) = given.store.watch(&presented.id) else { return };
    // a store that keeps sessions near hears of those that it has read
    given.record(&presented).await;
    given.apply(&presented, &rotate_to(&rotated)).await.made();
    watch.changed().await;
    let mut watches = [watch, given.store.watch(&presented.id).expect("as before")];
    given.record(&rotated).await;
    assert_eq!(given.revoke(&rotated).await, 1);
    for watch in &mut watches {
        watch.changed().await;
    }
    assert_eq!(given.load(&rotated).await, None);
}

pub async fn reading_changes_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    let first = given.record(&presented).await;
    fixture.advance(Duration::from_millis(100)).await;
    for _ in 0..5 {
        assert_eq!(given.record(&presented).await, first);
    }
}

pub async fn the_stores_time_does_not_go_back<F: Fixture>(fixture: &F) {
    // a read may work out the time from values that a server has rounded to milliseconds in more than one place
    const ROUNDING: Duration = Duration::from_millis(5);
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let mut earlier = given.load(&presented).await.expect("the session is there").now;
    for round in 0..10 {
        fixture.advance(Duration::from_millis(20)).await;
        let now = match round % 2 {
            0 => given.load(&presented).await.expect("the session is there").now,
            _ => given.apply(&presented, &set("round", "odd")).await.made().now,
        };
        assert!(now + ROUNDING > earlier, "{now:?} is before {earlier:?}");
        earlier = now;
    }
}

pub async fn many_readers_at_once_read_each_their_own<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let mut tasks = JoinSet::new();
    for i in 0..50 {
        let given = given.clone();
        tasks.spawn(async move {
            let own = i.to_string();
            let presented = given.session(&[("mine", &own)]).await;
            for _ in 0..10 {
                assert_eq!(given.fields(&presented).await, fields(&[("mine", &own)]));
                tokio::task::yield_now().await;
            }
        });
    }
    tasks.join_all().await;
}
