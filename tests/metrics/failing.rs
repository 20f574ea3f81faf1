//! A store that fails is counted by how it failed.

use std::time::Duration;

use cloakroom::store::{Durability, Redis};
use cloakroom::{Config, Sessions};

use super::heard::{Heard, app, told};
use crate::support::{Browser, Fault, Place, RedisServer, on_each_store};

#[tokio::test]
async fn a_failure_is_counted_with_its_verb_and_its_kind_and_timed() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let heard = Heard::new();
        for (verb, fault, path) in [
            ("load", Fault::Away, "/read"),
            ("load", Fault::AnswerLost, "/read"),
            ("apply", Fault::Away, "/count"),
            ("apply", Fault::AnswerLost, "/count"),
            ("revoke", Fault::Away, "/sign_out"),
        ] {
            place.store.fault(verb, fault);
            assert_eq!(browser.get(path).await.status, 503, "{verb} {fault:?}");
            place.store.heal();
        }
        let expected = told(&[
            ("loads{outcome=live}", 3),
            ("store_errors{verb=load,kind=not_done}", 1),
            ("store_errors{verb=load,kind=unknown}", 1),
            ("store_errors{verb=apply,kind=not_done}", 1),
            ("store_errors{verb=apply,kind=unknown}", 1),
            ("store_errors{verb=revoke,kind=not_done}", 1),
            ("store_duration_seconds{verb=load}", 5),
            ("store_duration_seconds{verb=apply}", 2),
            ("store_duration_seconds{verb=revoke}", 1),
        ]);
        assert_eq!(heard.all(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_never_answers_is_counted_as_a_time_out() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.impatient_sessions()));
    browser.visit("/write").await;
    let heard = Heard::new();
    place.store.fault("load", Fault::Hangs);
    assert_eq!(browser.get("/read").await.status, 503);
    let expected = [("store_errors{verb=load,kind=timeout}", 1), ("store_duration_seconds{verb=load}", 1)];
    assert_eq!(heard.all(), told(&expected));
}

#[tokio::test]
async fn a_revoke_that_no_replica_has_is_counted_as_not_durable() {
    let server = RedisServer::start();
    let durability = Durability { replicas: 1, on_disk: false, timeout: Duration::from_millis(50) };
    let redis = Redis::builder(server.url()).timeout(Duration::from_secs(20)).durable_revokes(durability);
    let config = Config::builder().store_timeout(Duration::from_secs(20)).build().unwrap();
    let browser = Browser::new(app(&Sessions::new(redis.connect().await.unwrap(), config)));
    browser.visit("/write").await;
    let heard = Heard::new();
    assert_eq!(browser.get("/sign_out").await.status, 503);
    assert_eq!(heard.all()["store_errors{verb=revoke,kind=not_durable}"], 1);
}
