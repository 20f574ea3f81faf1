//! What a store is built from, and which parts of that it never shows.

use std::time::Duration;

use cloakroom::Error;
use cloakroom::conformance::mint;
use cloakroom::store::{Lookup, Redis, Store};

use crate::Stand;
use crate::support::RedisServer;

const PASSWORD: &str = "hunter2-of-redis";

async fn refused(url: &str) -> Error {
    let connected = Redis::builder(url).timeout(Duration::from_secs(5)).connect().await;
    connected.map(|_| panic!("{url} was accepted")).unwrap_err()
}

#[tokio::test]
async fn settings_that_can_never_work_are_a_configuration_error_that_names_them() {
    let server = RedisServer::start();
    let local = server.url();
    let cases = [
        ("".to_owned(), "is not a URL"),
        ("127.0.0.1:6379".to_owned(), "is not a URL"),
        ("http://127.0.0.1:6379".to_owned(), "scheme `http`"),
        (format!("{local}/0?prefix=app"), "`prefix`"),
        (format!("{local}/0?protocol=resp3&Protocol=resp3"), "`Protocol`"),
        (format!("{local}/first"), "redis url"),
    ];
    for (url, named) in cases {
        let error = refused(&url).await;
        assert!(error.is_config() && error.to_string().contains(named), "{url}: {error}");
    }
}

#[tokio::test]
async fn another_machine_is_reached_in_plain_text_only_when_that_is_accepted() {
    for host in ["redis.example.com", "10.0.0.1", "[2001:db8::1]", "127.0.0.1.example.com", "localhost.example.com"] {
        let error = refused(&format!("redis://:{PASSWORD}@{host}")).await;
        assert!(error.is_config() && error.to_string().contains("accept_plain_text"), "{host}: {error}");
        assert!(!error.to_string().contains(PASSWORD));
    }
    // this address belongs to nobody (RFC 5737), so the connection fails, but only after it was tried
    let builder = Redis::builder("redis://192.0.2.1").timeout(Duration::from_millis(200));
    assert!(builder.clone().connect().await.unwrap_err().is_config());
    assert!(builder.accept_plain_text().connect().await.unwrap_err().is_store());
    let server = RedisServer::start();
    let url = format!("redis://localhost:{}", server.port());
    Redis::builder(url).connect().await.expect("that is this machine");
}

#[tokio::test]
async fn a_server_or_database_that_is_not_there_is_a_stores_error() {
    let mut server = RedisServer::start();
    for db in ["99", "-1"] {
        let error = refused(&format!("{}/{db}", server.url())).await;
        assert!(error.is_store() && error.to_string().contains("out of range"), "{error}");
    }
    server.kill();
    let error = refused(&server.url()).await;
    assert!(error.is_store() && error.to_string().contains(&server.url()), "{error}");
    assert!(refused("unix:///no/such/socket").await.is_store());
}

#[tokio::test]
async fn a_prefix_that_reaches_too_far_is_refused() {
    let server = RedisServer::start();
    let long = "x".repeat(129);
    for prefix in ["", "user:", "session:user:", "a*", "a?", "[a]", "{a}:", "a\\", "a b:", "a\n", "ключ:", &long] {
        let error = Redis::builder(server.url()).prefix(prefix).connect().await.map(|_| ()).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("prefix"), "{prefix:?}: {error}");
    }
    for timeout in [Duration::ZERO, Duration::MAX] {
        let error = Redis::builder(server.url()).timeout(timeout).connect().await.map(|_| ()).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("timeout"), "{error}");
    }
}

#[tokio::test]
async fn the_password_is_in_no_error_and_no_debug_text() {
    let mut stand = Stand::new().await;
    let (port, terms) = (stand.server.port(), stand.terms);
    let good = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
    let mut shown = Vec::new();
    let mut note = |text: String| shown.push(text);

    // at first the server has no password, later it has another one
    let wrong = [
        good.clone(),
        format!("redis://andrew:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://:{PASSWORD}@127.0.0.1:no-port"),
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/99"),
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/first"),
        format!("redis://:{PASSWORD}@127.0.0.1:{port}?password={PASSWORD}"),
        format!("redis://:{PASSWORD}@127.0.0.1:1"),
        format!("redis://:{PASSWORD}@10.0.0.1:{port}"),
        format!("redis://:{PASSWORD} 127.0.0.1"),
        format!("unix:///no/such/socket?pass={PASSWORD}"),
        format!("unix:///no/such/socket?password={PASSWORD}"),
        format!("rediss://:{PASSWORD}@127.0.0.1:{port}"),
    ];
    let _: () = stand.ask("CONFIG", ["SET", "requirepass", "another"].as_slice());
    for url in wrong {
        let error = refused(&url).await;
        note(format!("{error} {error:?}"));
    }

    let _: () = stand.ask("CONFIG", ["SET", "requirepass", PASSWORD].as_slice());
    let error = refused(&stand.server.url()).await;
    assert!(error.is_store() && error.to_string().contains("NOAUTH"), "{error}");
    let store = Redis::builder(good).timeout(Duration::from_secs(5)).connect().await.expect("the right password");
    let debug = format!("{store:?}");
    assert!(debug.contains(&format!("127.0.0.1:{port}")) && debug.contains("session:"), "{debug}");
    note(debug);
    assert_eq!(store.load(&mint(), &terms).await.unwrap(), Lookup::Gone);
    stand.server.kill();
    for _ in 0..3 {
        let error = store.load(&mint(), &terms).await.unwrap_err();
        note(format!("{error} {error:?}"));
        let error = Error::from(error);
        note(format!("{error} {error:?}"));
    }
    for text in shown {
        assert!(!text.contains(PASSWORD), "{text}");
        // a part of the password is not shown either
        assert!(!text.contains("hunter2"), "{text}");
    }
}
