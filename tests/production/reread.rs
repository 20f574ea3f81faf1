//! What only reads may be asked twice. What changes something never is.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::conformance::mint;
use cloakroom::store::Redis;
use cloakroom::store::operate::Inspect;

use crate::support::{FakeServer, RedisServer, Said, Sentinels};
use crate::{Kept, PATIENT, SHORT};

/// A server that hangs up at the first so many questions about keys.
async fn hanging_up(times: usize) -> FakeServer {
    let left = AtomicUsize::new(times);
    FakeServer::start(IpAddr::V4(Ipv4Addr::LOCALHOST), move |command, _| {
        if !["HGETALL", "TIME", "EVALSHA"].contains(&command[0].as_str()) {
            return Said::AsUsual;
        }
        let hangs_up = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        match command[0].as_str() {
            _ if hangs_up => Said::HangsUp,
            "HGETALL" => Said::This("*0\r\n".to_owned()),
            "TIME" => Said::This("*2\r\n:0\r\n:0\r\n".to_owned()),
            _ => Said::This(":-2\r\n".to_owned()),
        }
    })
    .await
}

async fn kept_on(server: &FakeServer) -> Kept {
    Kept::on(Redis::builder(format!("redis://{}", server.address())).timeout(PATIENT).accept_missing_rights()).await
}

#[tokio::test]
async fn a_read_whose_connection_broke_is_asked_once_more() {
    let server = hanging_up(1).await;
    assert!(!kept_on(&server).await.lives(&mint()).await);
    assert_eq!(server.count("HGETALL"), 2);
}

#[tokio::test]
async fn a_read_that_breaks_twice_is_an_error() {
    let server = hanging_up(2).await;
    let error = kept_on(&server).await.load(&mint()).await.unwrap_err();
    assert!(error.to_string().contains("gave no answer"), "{error}");
    assert_eq!(server.count("HGETALL"), 2);
}

#[tokio::test]
async fn a_change_whose_connection_broke_is_never_asked_again() {
    let server = hanging_up(1).await;
    let kept = kept_on(&server).await;
    let error = kept.create().await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    // the next one waits for the new connection, on which nothing was sent before
    assert!(!kept.lives(&mint()).await);
    assert_eq!(server.count("EVALSHA"), 1);
}

/// Every kind of reading, once.
async fn read_everything(kept: &Kept, presented: &cloakroom::store::Credentials) {
    assert!(kept.lives(presented).await);
    assert!(kept.store.find(&presented.id, &kept.terms).await.expect("the server is there").is_some());
    assert!(!kept.store.scan(None, 10).await.expect("the server is there").ids.is_empty());
    assert_eq!(kept.devices("anna").await, 1);
}

#[tokio::test]
async fn nobody_who_reads_sees_that_the_server_has_closed_the_connections() {
    let server = RedisServer::start();
    let kept = Kept::on(Redis::builder(server.url()).timeout(PATIENT)).await;
    let presented = kept.sign_in("anna", 1).await.unwrap();
    for _ in 0..10 {
        for skipped in 0..4 {
            assert_eq!(server.ask::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]), 1);
            match skipped {
                0 => assert!(kept.lives(&presented).await),
                1 => assert_eq!(kept.devices("anna").await, 1),
                2 => drop(kept.store.find(&presented.id, &kept.terms).await.expect("the server is there")),
                _ => drop(kept.store.scan(None, 10).await.expect("the server is there")),
            }
        }
    }
}

#[tokio::test]
async fn nobody_who_reads_sees_a_restart_once_the_server_is_back() {
    let mut server = RedisServer::start();
    let kept = Kept::on(Redis::builder(server.url()).timeout(PATIENT)).await;
    let presented = kept.sign_in("anna", 1).await.unwrap();
    for is_noticed in [false, true, true] {
        server.shutdown();
        if is_noticed {
            for _ in 0..3 {
                let error = kept.load(&presented).await.unwrap_err();
                assert!(!error.is_unknown(), "{error}");
            }
        }
        server.restart();
        read_everything(&kept, &presented).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_who_reads_sees_a_switch_of_the_primary_that_an_operator_orders() {
    let sentinels = Sentinels::start();
    let urls = sentinels.urls();
    let builder = urls[1..].iter().fold(Redis::builder(&urls[0]), |builder, url| builder.and(url));
    let kept = Kept::on(builder.timeout(PATIENT)).await;
    let presented = kept.session().await;
    sentinels.wait_until_replicated(0);
    sentinels.switch();
    let new = sentinels.wait_for_another_primary(0);
    let key = crate::key_of(&presented);
    let asked = || sentinels.servers[new].info("commandstats", "cmdstat_hgetall");
    let before = asked();
    while asked() == before {
        assert!(kept.lives(&presented).await, "{key}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_not_asked_twice() {
    let server = RedisServer::start();
    let kept = Kept::on(Redis::builder(server.url()).timeout(SHORT)).await;
    let presented = kept.session().await;
    server.pause();
    let begin = std::time::Instant::now();
    let error = kept.load(&presented).await.unwrap_err();
    assert!(error.to_string().contains("gave no answer"), "{error}");
    for _ in 0..100 {
        let error = kept.load(&presented).await.unwrap_err();
        assert!(error.to_string().contains("is not connected"), "{error}");
    }
    // one time-out, not one for each
    assert!(begin.elapsed() < SHORT * 20, "{:?}", begin.elapsed());
    server.resume();
    kept.until_it_answers(&presented).await;
}
