//! Servers that answer, but cannot do everything.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::store::{Redis, Store, Target};
use cloakroom::{Config, Error, Field, Session, Sessions};

use crate::support::{Browser, RedisServer};
use crate::{Kept, PATIENT, user_of};

async fn store_on(server: &RedisServer) -> Kept {
    Kept::on(Redis::builder(server.url()).timeout(PATIENT)).await
}

#[tokio::test]
async fn a_primary_that_misses_its_replicas_reads_and_refuses_to_change_and_to_revoke() {
    let server = RedisServer::start();
    let kept = store_on(&server).await;
    let presented = kept.sign_in("andrew", 10).await.unwrap();
    let _: () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert!(kept.lives(&presented).await);
    assert_eq!(kept.devices("andrew").await, 1);
    let errors = [
        kept.create().await.map(drop).unwrap_err(),
        kept.count(&presented).await.map(drop).unwrap_err(),
        kept.revoke(&presented).await.map(drop).unwrap_err(),
        kept.store.revoke(&Target::AllOf(user_of("andrew"))).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_unknown() && error.to_string().contains("NOREPLICAS"), "{error}");
    }
    assert_eq!(kept.counter(&presented).await, 0);
    let _: () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(kept.revoke(&presented).await.unwrap(), 1);
}

#[tokio::test]
async fn a_sign_out_that_the_server_refuses_is_an_error_and_keeps_the_cookie() {
    const NAME: Field<String> = Field::new("name");
    let server = RedisServer::start();
    let kept = store_on(&server).await;
    let sessions = Sessions::new(kept.store.clone(), Config::builder().store_timeout(PATIENT).build().unwrap());
    let app = Router::new()
        .route("/in", get(async |session: Session| session.sign_in("andrew").await))
        .route("/out", get(async |session: Session| session.sign_out().await))
        .route("/set", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/who", get(async |session: Session| Ok::<_, Error>(format!("{:?}", session.user()))))
        .layer(sessions.layer());
    let browser = Browser::new(app);
    browser.visit("/in").await;
    let _: () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    for path in ["/out", "/set"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.set_cookie()), (503, None), "{path}");
    }
    assert!(browser.visit("/who").await.body.contains("andrew"));
}

#[tokio::test]
async fn full_memory_leaves_reading_and_every_way_to_revoke() {
    let server = RedisServer::start();
    let kept = store_on(&server).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(kept.sign_in("andrew", 10).await.unwrap());
    }
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = kept.count(&all[0]).await.map(drop).unwrap_err();
    assert!(!error.is_unknown() && error.to_string().contains("OOM"), "{error}");
    let error = kept.sign_in("andrew", 10).await.map(drop).unwrap_err();
    assert!(!error.is_unknown() && error.to_string().contains("OOM"), "{error}");
    assert!(kept.lives(&all[0]).await);
    assert_eq!(kept.devices("andrew").await, 4);
    assert_eq!(kept.store.revoke(&Target::SessionOf(user_of("andrew"), all[0].id)).await.unwrap(), 1);
    assert_eq!(kept.revoke(&all[1]).await.unwrap(), 1);
    assert_eq!(kept.store.revoke(&Target::OthersOf(user_of("andrew"), all[2].id)).await.unwrap(), 1);
    assert_eq!(kept.store.revoke(&Target::AllOf(user_of("andrew"))).await.unwrap(), 1);
    assert_eq!(kept.devices("andrew").await, 0);
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    kept.sign_in("andrew", 10).await.unwrap();
    assert_eq!(server.immortal_keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_is_loading_is_away_and_works_again_once_it_has_loaded() {
    // slow enough to be met while it loads, until the test has seen it
    let slowly = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
    let mut server = RedisServer::start_with(&slowly);
    let kept = store_on(&server).await;
    let presented = kept.session().await;
    for number in 0..20 {
        let many: Vec<_> = (0..1000).flat_map(|at| [format!("other:{number}:{at}"), "x".repeat(40)]).collect();
        let command = ["MSET"].into_iter().chain(many.iter().map(String::as_str));
        let _: () = server.ask(&command.collect::<Vec<_>>());
    }
    server.shutdown();
    assert!(kept.load(&presented).await.is_err());
    server.launch_again();
    let mut seen = false;
    for _ in 0..2000 {
        match kept.load(&presented).await {
            Ok(_) => break,
            Err(error) => seen |= error.to_string().contains("LOADING"),
        }
        if seen {
            let fast: redis::RedisResult<()> = redis::Client::open(server.url())
                .and_then(|client| client.get_connection())
                .and_then(|mut client| redis::cmd("CONFIG").arg(&["SET", "key-load-delay", "0"]).query(&mut client));
            let _ = fast;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(seen, "the error says that the server is loading");
    kept.until_it_answers(&presented).await;
    assert_eq!(kept.count(&presented).await.unwrap(), 1);
}
