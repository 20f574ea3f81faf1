//! A server that hangs, dies, comes back, forgets its scripts.

use std::time::Duration;

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::{Credentials, StoreError};
use cloakroom::store::{Outcome, Store};

use crate::{Stand, add, fields, set, touch};

/// Short, because each call that hangs takes this long. Long enough for a server that answers on a busy machine.
const TIMEOUT: Duration = Duration::from_millis(1500);

impl Stand {
    /// Asks each verb once, and asserts that each fails. Returns their errors.
    async fn failures(&self, presented: &Credentials) -> Vec<StoreError> {
        let new = new_session(mint(), fields(&[]));
        vec![
            self.store.create(&new, &self.terms).await.map(drop).expect_err("create fails"),
            self.store.load(presented, &self.terms).await.map(drop).expect_err("load fails"),
            self.store.apply(presented, &touch(), &self.terms).await.map(drop).expect_err("apply fails"),
            self.store.revoke(&cloakroom::store::Target::Session(presented.id)).await.expect_err("revoke fails"),
        ]
    }

    /// Asks until the store answers again.
    async fn until_it_answers(&self, presented: &Credentials) {
        for _ in 0..1000 {
            if self.store.load(presented, &self.terms).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the store did not find its server again");
    }
}

#[tokio::test]
async fn a_server_that_died_fails_every_verb_and_works_again_once_it_is_back() {
    let mut stand = Stand::with_timeout(TIMEOUT).await;
    let presented = stand.session(&[("a", "1")]).await;
    stand.server.kill();
    // the first verbs may find out that the server died; after that the store knows it, sends nothing and says so
    stand.failures(&presented).await;
    for error in stand.failures(&presented).await {
        assert!(!error.is_unknown() && error.to_string().contains("is not connected"), "{error}");
    }
    stand.server.restart();
    stand.until_it_answers(&presented).await;
    // the server had written nothing to disk
    assert_eq!(stand.load(&presented).await, None);
    let again = stand.session(&[("a", "2")]).await;
    assert_eq!(&stand.load(&again).await.unwrap().record.fields["a"], "2");
}

#[tokio::test]
async fn sessions_outlive_an_orderly_restart_of_the_server() {
    let mut stand = Stand::with_timeout(TIMEOUT).await;
    let presented = stand.session(&[("a", "1")]).await;
    let before = stand.load(&presented).await.unwrap().record;
    stand.server.shutdown();
    stand.failures(&presented).await;
    stand.server.restart();
    stand.until_it_answers(&presented).await;
    assert_eq!(stand.load(&presented).await.unwrap().record, before);
    // the scripts are gone with the old process
    stand.made(&presented, &set("a", "2")).await;
}

#[tokio::test]
async fn a_server_that_hangs_fails_every_verb_and_counts_an_unanswered_increment_at_most_once() {
    let stand = Stand::with_timeout(TIMEOUT).await;
    let presented = stand.session(&[("n", "0")]).await;
    stand.server.pause();
    let lost = stand.store.apply(&presented, &add("n", 1), &stand.terms).await.map(drop).expect_err("no answer");
    assert!(lost.is_unknown(), "{lost}");
    for error in stand.failures(&presented).await {
        assert!(!error.is_unknown(), "nothing is sent while there is no connection: {error}");
    }
    stand.server.resume();
    stand.until_it_answers(&presented).await;
    // the revoke among the failures was not sent, so the session is there
    stand.made(&presented, &add("n", 10)).await;
    let stored = stand.load(&presented).await.unwrap().record.fields.clone();
    assert!(["10", "11"].contains(&&stored["n"]), "{stored:?}");
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_made_again() {
    let mut stand = Stand::with_timeout(TIMEOUT).await;
    let presented = stand.session(&[("a", "1")]).await;
    for _ in 0..5 {
        let killed: i64 = stand.ask("CLIENT", ["KILL", "TYPE", "normal", "SKIPME", "yes"].as_slice());
        assert_eq!(killed, 1);
        stand.until_it_answers(&presented).await;
        stand.made(&presented, &touch()).await;
    }
    assert_eq!(&stand.load(&presented).await.unwrap().record.fields["a"], "1");
}

#[tokio::test]
async fn a_server_that_forgets_its_scripts_is_given_them_again() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[]).await;
    for sum in 1..=5 {
        let _: () = stand.ask("SCRIPT", "FLUSH");
        let made = stand.made(&presented, &add("n", 1)).await;
        assert_eq!(made.record.fields["n"], sum.to_string());
        let _: () = stand.ask("SCRIPT", "FLUSH");
        let new = new_session(mint(), fields(&[("a", "1")]));
        assert!(matches!(stand.store.create(&new, &stand.terms).await, Ok(Outcome::Done { .. })));
    }
}

#[tokio::test]
async fn a_server_whose_memory_is_full_refuses_to_write_and_still_revokes() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[("a", "1")]).await;
    let before = stand.hash(&presented);
    let _: () = stand.ask("CONFIG", ["SET", "maxmemory", "1"].as_slice());
    let error = stand.store.apply(&presented, &set("a", "2"), &stand.terms).await.map(drop).expect_err("it is full");
    assert!(!error.is_unknown(), "{error}");
    let new = new_session(mint(), fields(&[]));
    assert!(stand.store.create(&new, &stand.terms).await.is_err());
    assert_eq!(stand.hash(&presented), before);
    assert_eq!(&stand.load(&presented).await.unwrap().record.fields["a"], "1");
    assert_eq!(stand.store.revoke(&cloakroom::store::Target::Session(presented.id)).await.unwrap(), 1);
    assert_eq!(stand.load(&presented).await, None);
}
