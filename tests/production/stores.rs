//! The conformance kit on every way to a server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::conformance::{Fixture, run_all};
use cloakroom::store::{Redis, RedisBuilder};

use crate::support::{Certificates, RedisCluster, RedisServer, Sentinels};

/// Stores that share servers, each with a prefix of its own.
pub(crate) struct Shared<'a> {
    pub(crate) builder: &'a RedisBuilder,
    pub(crate) stores: &'a AtomicUsize,
}

impl Fixture for Shared<'_> {
    type Store = Redis;

    async fn fresh(&self) -> Redis {
        let prefix = format!("session:{}:", self.stores.fetch_add(1, Ordering::SeqCst));
        self.builder.clone().prefix(prefix).connect().await.expect("the test's servers answer")
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by + Duration::from_millis(10)).await;
    }
}

fn check(builder: RedisBuilder, immortal_keys: impl Fn() -> Vec<String>) {
    let (builder, stores) = (builder.timeout(Duration::from_secs(30)), AtomicUsize::new(0));
    run_all(|| Shared { builder: &builder, stores: &stores });
    assert!(stores.into_inner() > 100, "the kit ran");
    assert_eq!(immortal_keys(), Vec::<String>::new(), "no key without an expiry");
}

#[test]
fn a_cluster_keeps_every_promise_of_a_store() {
    let cluster = RedisCluster::start();
    check(Redis::builder(cluster.nodes[0].url()), || cluster.immortal_keys());
}

#[test]
fn a_server_behind_sentinels_keeps_every_promise_of_a_store() {
    let sentinels = Sentinels::start();
    let [first, second, third] = <[String; 3]>::try_from(sentinels.urls()).unwrap();
    check(Redis::builder(first).and(second).and(third), || sentinels.servers[0].immortal_keys());
}

#[test]
fn a_server_that_speaks_tls_keeps_every_promise_of_a_store() {
    let certificates = Certificates::new();
    let (server, port) = certificates.server();
    let (certificate, key) = &certificates.client;
    let builder = Redis::builder(format!("rediss://127.0.0.1:{port}"))
        .tls_ca(certificates.authority.as_str())
        .tls_client_certificate(certificate.as_str(), key.as_str());
    check(builder, || server.immortal_keys());
}

#[test]
fn a_server_at_a_unix_socket_keeps_every_promise_of_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let socket = socket.to_str().unwrap();
    let server = RedisServer::start_with(&["--unixsocket", socket]);
    check(Redis::builder(format!("unix://{socket}")), || server.immortal_keys());
}
