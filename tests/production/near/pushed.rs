//! What others do to a session is seen, whoever they are.

use cloakroom::store::Change;
use cloakroom::store::{Durability, Store, Target};

use super::{Pair, commands, until};
use crate::{Kept, PATIENT, key_of, sign_in_of, user_of};

#[tokio::test]
async fn a_change_by_another_server_is_seen() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    pair.other.count(&presented).await.unwrap();
    until("a change", async || pair.near.counter(&presented).await == 1).await;
    pair.other.revoke(&presented).await.unwrap();
    until("a revoke", async || !pair.near.lives(&presented).await).await;
    assert_eq!(pair.server.immortal_keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_change_by_redis_cli_is_seen_even_after_a_change_of_our_own() {
    let pair = Pair::start().await;
    let presented = pair.warm().await;
    let key = key_of(&presented);
    // a script that reads, writes and reads again tells the server that it wants to hear of the next change
    for number in 1..20 {
        let count = pair.near.count(&presented).await.unwrap();
        pair.server.ask::<u64>(&["HSET", &key, "n", &(count + 10).to_string()]);
        until(&format!("an HSET, {number}"), async || pair.near.counter(&presented).await == count + 10).await;
    }
    pair.near.count(&presented).await.unwrap();
    pair.server.ask::<u64>(&["DEL", &key]);
    until("a DEL", async || !pair.near.lives(&presented).await).await;

    let presented = pair.warm().await;
    pair.server.ask::<u64>(&["PEXPIRE", &key_of(&presented), "1"]);
    until("an expiry", async || !pair.near.lives(&presented).await).await;
}

#[tokio::test]
async fn a_sign_in_elsewhere_leaves_the_former_secret_nothing_to_read() {
    let pair = Pair::start().await;
    let presented = pair.other.sign_in("anna", 5).await.unwrap();
    assert!(pair.near.lives(&presented).await);
    let again = crate::with_new_secret(&presented);
    let new = sign_in_of("anna", 5);
    let change = Change::SignIn { new, secret_hash: again.secret_hash.unwrap() };
    pair.other.store.apply(&presented, &change, &pair.other.terms).await.unwrap();
    until("the sign-in", async || !pair.near.lives(&presented).await).await;
    assert!(pair.near.lives(&again).await);
}

#[tokio::test]
async fn an_eviction_by_a_sign_in_elsewhere_signs_this_browser_out() {
    let pair = Pair::start().await;
    let first = pair.other.sign_in("anna", 1).await.unwrap();
    assert!(pair.near.lives(&first).await);
    let second = pair.other.sign_in("anna", 1).await.unwrap();
    until("the eviction", async || !pair.near.lives(&first).await).await;
    assert!(pair.near.lives(&second).await);
    // and by a sign-in here at once
    pair.near.sign_in("anna", 1).await.unwrap();
    assert!(!pair.near.lives(&second).await);
}

#[tokio::test]
async fn a_revoke_here_is_known_here_at_once_also_a_durable_one() {
    let pair = Pair::start().await;
    let durability = Durability { replicas: 0, on_disk: false, timeout: PATIENT };
    let durable = Kept { store: pair.near.store.with_durable_revokes(durability).unwrap(), terms: pair.near.terms };
    for kept in [&pair.near, &durable] {
        let presented = pair.warm().await;
        assert_eq!(kept.revoke(&presented).await.unwrap(), 1);
        assert!(!pair.near.lives(&presented).await);

        let signed_in = pair.other.sign_in("anna", 5).await.unwrap();
        assert!(pair.near.lives(&signed_in).await);
        assert_eq!(kept.store.revoke(&Target::AllOf(user_of("anna"))).await.unwrap(), 1);
        assert!(!pair.near.lives(&signed_in).await);
    }
}

#[tokio::test]
async fn emptying_the_database_empties_the_cache() {
    let pair = Pair::start().await;
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(pair.warm().await);
    }
    pair.server.ask::<()>(&["FLUSHALL"]);
    for presented in &sessions {
        until("FLUSHALL", async || !pair.near.lives(presented).await).await;
    }
    let presented = pair.warm().await;
    let mut monitor = pair.server.monitor();
    assert!(pair.near.lives(&presented).await);
    assert_eq!(commands(&mut monitor), Vec::<String>::new(), "and it is filled again");
}

#[tokio::test]
async fn a_server_that_cannot_remember_who_read_what_says_so_and_nothing_is_missed() {
    let pair = Pair::start().await;
    pair.server.ask::<()>(&["CONFIG", "SET", "tracking-table-max-keys", "5"]);
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(pair.warm().await);
    }
    for presented in &sessions {
        pair.other.revoke(presented).await.unwrap();
    }
    for presented in &sessions {
        until("a revoke", async || !pair.near.lives(presented).await).await;
    }
}
