//! Waiting for the end of a session.

use std::time::Duration;

use cloakroom::store::{Memory, Store};
use cloakroom::{Config, Ended, Sessions};

use crate::{COUNT, MOST_SESSIONS, on_every_store, soon};

#[tokio::test]
async fn a_stream_hears_of_a_sign_out_elsewhere() {
    on_every_store(async |world| {
        let visitor = world.visitor();
        visitor.elsewhere.visit("/sign_in").await;
        let live = visitor.stream().await;
        let waiting = tokio::spawn(async move { live.ended().await });
        visitor.elsewhere.visit("/count").await;
        assert!(!waiting.is_finished(), "a change is no end");
        visitor.elsewhere.visit("/sign_out").await;
        assert_eq!(soon("the end", waiting).await.unwrap().unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_stream_hears_of_every_way_in_which_a_session_ends() {
    on_every_store(async |world| {
        for way in ["by its id", "of the user", "by a job"] {
            let visitor = world.visitor();
            visitor.elsewhere.visit("/sign_in").await;
            let live = visitor.stream().await;
            let end = async {
                let elsewhere = &world.elsewhere;
                match way {
                    "by its id" => assert!(elsewhere.revoke(&live.id()).await.unwrap()),
                    "of the user" => assert_eq!(elsewhere.revoke_user("andrew").await.unwrap(), 1),
                    _ => assert!(elsewhere.find(&live.id()).await.unwrap().unwrap().end().await.unwrap()),
                }
            };
            let (ended, ()) = tokio::join!(soon(way, live.ended()), end);
            assert_eq!(ended.unwrap(), None);
            assert_eq!(soon("the end again", live.ended()).await.unwrap(), None);
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_hears_that_its_user_has_signed_in_elsewhere_too_often() {
    on_every_store(async |world| {
        let visitor = world.visitor();
        visitor.elsewhere.visit("/sign_in").await;
        let live = visitor.stream().await;
        let sign_in_often = async {
            for _ in 0..MOST_SESSIONS {
                visitor.elsewhere.stranger().visit("/sign_in").await;
            }
        };
        let (ended, ()) = tokio::join!(soon("the end", live.ended()), sign_in_often);
        assert_eq!(ended.unwrap(), Some(Ended::SignedInElsewhere));
    })
    .await;
}

#[tokio::test]
async fn a_stream_hears_that_the_time_of_its_session_is_over() {
    on_every_store(async |world| {
        let (_, live) = world.here.create().idle_timeout(Duration::from_secs(1)).await.unwrap();
        assert_eq!(soon("the end", live.check_every(world.interval).ended()).await.unwrap(), None);
        assert!(world.elsewhere.find_by_token("").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_stream_hears_that_its_user_has_signed_in_with_its_session_and_not_that_it_was_rotated() {
    on_every_store(async |world| {
        let visitor = world.visitor();
        visitor.elsewhere.visit("/write").await;
        let live = visitor.stream().await;
        let waiting = tokio::spawn({
            let live = live.clone();
            async move { live.ended().await }
        });
        for _ in 0..3 {
            visitor.elsewhere.visit("/rotate").await;
            // where the store does not tell, it is asked at the interval
            tokio::time::sleep(world.interval.min(Duration::from_millis(50)) * 3).await;
        }
        assert_eq!(live.increment(COUNT, 1).await.unwrap(), 1, "it follows the session");
        assert!(!waiting.is_finished());
        visitor.elsewhere.visit("/sign_in").await;
        assert_eq!(soon("the end", waiting).await.unwrap().unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_extended_outlives_the_time_that_its_session_had() {
    on_every_store(async |world| {
        let (token, live) = world.here.create().idle_timeout(Duration::from_secs(1)).await.unwrap();
        let waiting = tokio::spawn(live.check_every(world.interval).ended_owned());
        let elsewhere = world.elsewhere.find_by_token(token.expose()).await.unwrap().unwrap();
        elsewhere.set_idle_timeout(Duration::from_secs(600)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!waiting.is_finished());
        elsewhere.end().await.unwrap();
        soon("the end", waiting).await.unwrap();
    })
    .await;
}

/// As a stream does it that is given away.
trait EndedOwned {
    fn ended_owned(self) -> impl Future<Output = ()> + Send + 'static;
}

impl EndedOwned for cloakroom::LiveSession {
    async fn ended_owned(self) {
        self.ended().await.unwrap();
    }
}

#[tokio::test]
async fn many_streams_of_many_sessions_each_hear_of_their_own_end() {
    on_every_store(async |world| {
        let mut streams = Vec::new();
        for _ in 0..20 {
            let (_, live) = world.here.create().await.unwrap();
            let waiting = [0; 3].map(|_| tokio::spawn(live.clone().check_every(world.interval).ended_owned()));
            streams.push((live, waiting));
        }
        while let Some((live, waiting)) = streams.pop() {
            world.elsewhere.revoke(&live.id()).await.unwrap();
            for waiting in waiting {
                soon("the end", waiting).await.unwrap();
            }
            assert!(streams.iter().flat_map(|(_, waiting)| waiting).all(|waiting| !waiting.is_finished()));
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_is_watched_for_any_more_when_the_stream_was_dropped() {
    let store = Memory::new();
    let sessions = Sessions::new(store.clone(), Config::default());
    let (_, live) = sessions.create().await.unwrap();
    let mut other = store.watch(&live.id()).unwrap();
    {
        let mut ended = std::pin::pin!(live.ended());
        tokio::select! {
            biased;
            _ = &mut ended => panic!("it lives"),
            () = std::future::ready(()) => {}
        }
        assert!(format!("{other:?}").contains("sessions: 1"));
    }
    live.end().await.unwrap();
    soon("who still watches is told", other.changed()).await;
    let again = store.watch(&live.id()).unwrap();
    drop(other);
    assert!(format!("{again:?}").contains("sessions: 1"));
    drop(again);
    let (_, next) = sessions.create().await.unwrap();
    assert!(format!("{:?}", store.watch(&next.id()).unwrap()).contains("sessions: 1"), "only the new one is left");
}
