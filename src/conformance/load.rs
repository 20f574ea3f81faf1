//! Reading sessions.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use tokio::task::JoinSet;

use super::given::{fields, given, set};
use super::{Fixture, mint, with_new_secret};
use crate::record::{Credentials, Refusal};
use crate::store::Outcome;

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
