//! What becomes of those who wait for the end of a session when the store does not answer.

use std::time::Duration;

use cloakroom::store::{NearCache, Redis};
use cloakroom::{Config, LiveSession, Sessions};

use crate::support::faults::Trouble;
use crate::support::{Fault, FaultProxy, Place, RedisServer};
use crate::{NAME, redis, soon};

const INTERVAL: Duration = Duration::from_secs(10);

/// A stream in a place whose store is asked at intervals. The time of these tests is tokio's, which stands still while nothing
/// happens.
async fn stream(place: &Place) -> LiveSession {
    place.sessions().create().await.unwrap().1.check_every(INTERVAL)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_ends_no_stream() {
    let place = Place::memory();
    let live = stream(&place).await;
    let waiting = tokio::spawn({
        let live = live.clone();
        async move { live.ended().await }
    });
    for _ in 0..3 {
        tokio::time::sleep(INTERVAL * 2).await;
        for fault in [Fault::Away, Fault::Hangs] {
            place.store.fault_everywhere(fault);
            tokio::time::sleep(INTERVAL / 2).await;
            place.store.heal();
            tokio::time::sleep(INTERVAL * 3).await;
        }
    }
    assert!(!waiting.is_finished());
    live.end().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_store_does_not_answer_for_three_intervals_is_told_and_may_wait_again() {
    for fault in [Fault::Away, Fault::Hangs] {
        let place = Place::memory();
        let live = stream(&place).await;
        place.store.fault_everywhere(fault);
        let begun = tokio::time::Instant::now();
        assert!(live.ended().await.unwrap_err().is_store());
        assert!(begun.elapsed() >= 3 * INTERVAL && begun.elapsed() <= 9 * INTERVAL, "{:?}", begun.elapsed());
        assert!(live.is_live().await.unwrap_err().is_store(), "not known is not ended");
        place.store.heal();
        let again = tokio::spawn({
            let live = live.clone();
            async move { live.ended().await }
        });
        tokio::time::sleep(INTERVAL).await;
        assert!(!again.is_finished());
        live.end().await.unwrap();
        assert_eq!(again.await.unwrap().unwrap(), None);
    }
}

#[tokio::test]
async fn a_lost_connection_to_redis_is_no_end_and_what_ended_meanwhile_is_heard_of_afterwards() {
    for near in [None, Some(NearCache::default())] {
        for trouble in [Trouble::Drop, Trouble::BlackHole] {
            let server = RedisServer::start();
            let network = FaultProxy::before(server.port()).await;
            let builder = Redis::builder(network.url()).timeout(Duration::from_secs(2));
            let store = match near {
                Some(near) => builder.near_cache(near).connect().await.unwrap(),
                None => builder.connect().await.unwrap(),
            };
            let here = Sessions::new(store, Config::builder().store_timeout(Duration::from_secs(2)).build().unwrap());
            let elsewhere = Sessions::new(redis(server.url(), false).await, Config::default());
            let (_, live) = here.create().await.unwrap();
            let live = live.check_every(Duration::from_millis(100));

            network.set(trouble);
            let error = soon("it is told that nobody answers", live.ended()).await.unwrap_err();
            assert!(error.is_store(), "{trouble:?}: {error}");
            let session = elsewhere.find(&live.id()).await.unwrap().expect("it lives");
            session.set(NAME, "meanwhile").await.unwrap();

            network.set(Trouble::None);
            let ended = tokio::spawn({
                let live = live.clone();
                async move { ended_at_last(&live).await }
            });
            soon("the store answers again", async {
                while live.refresh().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
            assert_eq!(live.get(NAME).unwrap().as_deref(), Some("meanwhile"));
            assert!(!ended.is_finished());
            network.set(trouble);
            session.end().await.unwrap();
            network.set(Trouble::None);
            soon("the end", ended).await.unwrap();
        }
    }
}

/// As a stream does that rather waits than lets go.
async fn ended_at_last(live: &LiveSession) {
    while let Err(error) = live.ended().await {
        assert!(error.is_store(), "{error}");
    }
}
