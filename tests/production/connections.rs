//! How servers are found, and who may come in.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use cloakroom::Error;
use cloakroom::conformance::run_all;
use cloakroom::store::{Durability, NearCache, Redis, RedisBuilder};

use crate::stores::Shared;
use crate::support::redis_server::free_port;
use crate::support::{Certificates, RedisCluster, RedisServer, Sentinels};
use crate::{Kept, PATIENT, SHORT, key_of};

const PASSWORD: &str = "hunter2-of-redis";

/// All that an application's user needs, as in docs/redis.md.
const NEEDED: &[&str] = &[
    "del",
    "evalsha",
    "hdel",
    "hget",
    "hgetall",
    "hincrby",
    "hmget",
    "hset",
    "info",
    "pexpireat",
    "ping",
    "pttl",
    "script|load",
    "time",
    "zadd",
    "zcount",
    "zrange",
    "zrangebyscore",
    "zrem",
    "zrevrangebyscore",
    "zscore",
];
/// And this on a cluster.
const NEEDED_ON_CLUSTERS: &[&str] = &["asking", "cluster|slots", "exec", "multi"];
/// This to wait for replicas.
const NEEDED_TO_WAIT: &[&str] = &["wait"];

/// Lets the user `app` do this and nothing else.
fn permit(server: &RedisServer, commands: &[&[&str]]) {
    let commands: Vec<_> = commands.concat().iter().map(|command| format!("+{command}")).collect();
    let mut rule = vec!["ACL", "SETUSER", "app", "on", ">hunter2-of-redis", "~session:*"];
    rule.extend(commands.iter().map(String::as_str));
    let _: () = server.ask(&rule);
}

async fn refused(builder: RedisBuilder) -> Error {
    let error = builder.timeout(PATIENT).connect().await.map(|store| panic!("{store:?}")).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hunter2") && !text.contains("PRIVATE KEY"), "{text}");
    error
}

/// That a store can be built so, and works.
async fn works(builder: RedisBuilder) -> Kept {
    let kept = Kept::on(builder.timeout(PATIENT)).await;
    let presented = kept.session().await;
    assert_eq!(kept.count(&presented).await.unwrap(), 1);
    assert_eq!(kept.revoke(&presented).await.unwrap(), 1);
    kept
}

#[tokio::test]
async fn a_cluster_is_found_from_any_node_and_past_one_that_is_dead() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    for url in &urls {
        let kept = works(Redis::builder(url)).await;
        assert_eq!(kept.store.servers().len(), 3, "a replica, too, knows all primaries");
    }
    let dead = "redis://127.0.0.1:1";
    works(Redis::builder(dead).and(&urls[4]).and(&urls[1])).await;
    let error = refused(Redis::builder(dead).and(dead)).await;
    assert!(error.is_store() && error.to_string().contains("127.0.0.1:1"), "{error}");
    for node in &cluster.nodes {
        permit(node, &[NEEDED, NEEDED_ON_CLUSTERS]);
        let _: () = node.ask(&["ACL", "SETUSER", "default", "nopass", "+@all"]);
    }
    works(Redis::builder(dead).and(&urls[0]).username("app").password(PASSWORD)).await;
    let error = refused(Redis::builder(&urls[0]).username("app").password("hunter2-guessed")).await;
    assert!(error.is_store() && error.to_string().contains("authentication failed"), "{error}");
}

/// Long before the next look at the cluster is due.
#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_task_behind() {
    let (cluster, server) = (RedisCluster::start(), RedisServer::start());
    for url in [cluster.nodes[0].url(), server.url()] {
        let kept = Kept::on(Redis::builder(url).timeout(PATIENT).near_cache(NearCache::default())).await;
        kept.session().await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert!(tasks() > 0, "somebody watches the servers");
        drop(kept);
        let ended = async {
            while tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), ended).await.expect("nobody watches them any more");
    }
}

#[tokio::test]
async fn one_node_of_a_cluster_that_forbids_a_command_is_noticed_when_connecting() {
    let cluster = RedisCluster::start();
    for node in &cluster.nodes {
        permit(node, &[NEEDED, NEEDED_ON_CLUSTERS]);
    }
    let strict = &cluster.nodes[2];
    for (missing, granted) in
        [("pexpireat", "+pexpireat"), ("asking", "+asking"), ("multi", "+multi +exec"), ("exec", "+multi +exec")]
    {
        strict.ask::<()>(&["ACL", "SETUSER", "app", &format!("-{missing}")]);
        for url in [&cluster.urls()[0], &strict.url()] {
            let error = refused(Redis::builder(url).username("app").password(PASSWORD)).await.to_string();
            let named = [granted, "ACL SETUSER", &format!("127.0.0.1:{}", strict.port())];
            assert!(named.iter().all(|part| error.contains(part)), "{missing}: {error}");
        }
        permit(strict, &[NEEDED, NEEDED_ON_CLUSTERS]);
    }
    works(Redis::builder(&cluster.urls()[0]).username("app").password(PASSWORD)).await;
}

#[test]
fn a_user_who_may_do_what_is_needed_and_nothing_else_can_do_everything() {
    let server = RedisServer::start();
    permit(&server, &[NEEDED]);
    let builder = Redis::builder(server.url()).username("app").password(PASSWORD).timeout(PATIENT);
    let stores = AtomicUsize::new(0);
    run_all(|| Shared { builder: &builder, stores: &stores });
    let denied: Vec<redis::Value> = server.ask(&["ACL", "LOG"]);
    // the client library would like to say its name
    let denied = denied.into_iter().map(|entry| format!("{entry:?}")).find(|entry| !entry.contains("client|setinfo"));
    assert_eq!(denied, None);
    let used: String = server.ask(&["INFO", "commandstats"]);
    let used: BTreeSet<_> = used.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next()).collect();
    let unused: Vec<_> = NEEDED.iter().filter(|command| !used.contains(**command)).collect();
    assert!(unused.is_empty(), "nothing needs {unused:?}");
}

#[test]
fn the_guide_names_what_a_user_must_be_allowed() {
    let guide = include_str!("../../docs/redis.md");
    let line = |commands: &[&str]| commands.iter().map(|command| format!("+{command}")).collect::<Vec<_>>().join(" ");
    let flat = guide.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
    for commands in [NEEDED, NEEDED_ON_CLUSTERS, NEEDED_TO_WAIT] {
        assert!(flat.contains(&line(commands)), "{}", line(commands));
    }
}

#[tokio::test]
async fn a_user_who_may_not_run_wait_is_told_that_a_revoke_is_not_durable() {
    let server = RedisServer::start();
    permit(&server, &[NEEDED]);
    let durability = Durability { replicas: 0, on_disk: false, timeout: SHORT };
    let builder = Redis::builder(server.url()).username("app").password(PASSWORD).durable_revokes(durability);
    let kept = Kept::on(builder.timeout(PATIENT)).await;
    let [first, second] = [kept.session().await, kept.session().await];
    let error = kept.revoke(&first).await.unwrap_err();
    assert!(error.is_not_durable() && error.to_string().contains("NOPERM"), "{error}");
    assert!(!kept.lives(&first).await);
    permit(&server, &[NEEDED_TO_WAIT]);
    assert_eq!(kept.revoke(&second).await.unwrap(), 1);
}

#[tokio::test]
async fn user_and_password_come_from_the_url_or_the_builder_which_wins() {
    let server = RedisServer::start();
    permit(&server, &[NEEDED]);
    let port = server.port();
    let right = format!("redis://app:{PASSWORD}@127.0.0.1:{port}");
    works(Redis::builder(&right)).await;
    works(Redis::builder(server.url()).username("app").password(PASSWORD)).await;
    works(
        Redis::builder(format!("redis://nobody:hunter2-guessed@127.0.0.1:{port}")).username("app").password(PASSWORD),
    )
    .await;
    let error = refused(Redis::builder(&right).password("hunter2-guessed")).await;
    assert!(error.is_store() && error.to_string().contains("authentication failed"), "{error}");
    let kept = Kept::on(Redis::builder(&right).timeout(PATIENT)).await;
    let _: () = server.ask(&["ACL", "SETUSER", "app", "-hgetall"]);
    let error = kept.load(&cloakroom::conformance::mint()).await.unwrap_err();
    assert!(error.to_string().contains("NOPERM") && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_database_is_used_by_its_number() {
    let server = RedisServer::start();
    let kept = Kept::on(Redis::builder(format!("{}/3", server.url())).timeout(PATIENT)).await;
    let presented = kept.session().await;
    assert!(server.info("keyspace", "db3").starts_with("keys=1,"));
    assert_eq!(server.ask::<u64>(&["EXISTS", &key_of(&presented)]), 0, "there is none in database 0");
    kept.revoke(&presented).await.unwrap();
    assert_eq!(server.info("keyspace", "db3"), "");
}

#[tokio::test]
async fn tls_lets_in_who_shows_a_certificate_to_a_server_that_shows_one() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (_server, port) = certificates.server();
    let url = format!("rediss://127.0.0.1:{port}");
    let builder = || Redis::builder(&url).tls_ca(certificates.authority.as_str());
    let with =
        |(certificate, key): &(String, String)| builder().tls_client_certificate(certificate.as_str(), key.as_str());
    let (certificate, key) = &certificates.client;
    works(with(&certificates.client)).await;
    // the authority of somebody else, of the system, and a name for which the certificate is not
    let own = |builder: RedisBuilder| builder.tls_client_certificate(certificate.as_str(), key.as_str());
    let error = refused(own(Redis::builder(&url).tls_ca(others.authority.as_str()))).await;
    assert!(error.is_store() && error.to_string().contains("certificate"), "{error}");
    let error = refused(own(Redis::builder(&url))).await;
    assert!(error.is_store() && error.to_string().contains("certificate"), "{error}");
    let elsewhere = Redis::builder(format!("rediss://127.0.0.2:{port}")).tls_ca(certificates.authority.as_str());
    refused(own(elsewhere)).await;
    // none, and one of another authority
    for builder in [builder(), with(&others.client)] {
        let error = refused(builder).await;
        assert!(error.is_store(), "{error}");
        assert!(error.to_string().contains("received fatal alert"), "{error}");
    }
    for (builder, words) in [
        (builder().tls_ca("none"), "tls_ca must be PEM with a certificate"),
        (
            builder().tls_client_certificate("none", key.as_str()),
            "tls_client_certificate must be PEM with a certificate",
        ),
        (
            builder().tls_client_certificate(certificate.as_str(), certificate.as_str()),
            "must be PEM with a private key",
        ),
    ] {
        let error = refused(builder).await;
        assert!(error.is_config() && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn tls_to_a_plain_text_port_is_reported_immediately_and_the_other_way_round() {
    let certificates = Certificates::new();
    let (_server, port) = certificates.server();
    let plain = RedisServer::start();
    let begin = Instant::now();
    for (url, words) in [
        (format!("redis://:{PASSWORD}@127.0.0.1:{port}"), "speaks TLS on this port: use rediss://"),
        (format!("redis://127.0.0.1:{port}"), "speaks TLS on this port: use rediss://"),
        (format!("redis+sentinel://127.0.0.1:{port}/cloakroom"), "speaks TLS on this port"),
        (format!("rediss://:{PASSWORD}@127.0.0.1:{}", plain.port()), "speaks no TLS on this port"),
        (format!("rediss+sentinel://127.0.0.1:{}/cloakroom", plain.port()), "speaks no TLS on this port"),
    ] {
        for near in [false, true] {
            let builder = Redis::builder(&url);
            let error = refused(if near { builder.near_cache(NearCache::default()) } else { builder }).await;
            assert!(error.is_store() && error.to_string().contains(words), "{url}: {error}");
        }
    }
    assert!(begin.elapsed() < PATIENT, "nobody waited for a time-out: {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_cluster_speaks_tls_on_every_connection() {
    let certificates = Certificates::new();
    let mut dirs = Vec::new();
    let mut tls_ports = Vec::new();
    let cluster = RedisCluster::without_replicas(async |port| {
        let tls_port = free_port();
        tls_ports.push(tls_port);
        let dir = tempfile::tempdir().unwrap();
        let mut settings = certificates.settings(dir.path(), tls_port);
        dirs.push(dir);
        settings.extend(["--tls-cluster", "yes", "--cluster-port"].map(str::to_owned));
        settings.push((port + 10_000).to_string());
        settings
    })
    .await;
    let (certificate, key) = &certificates.client;
    let builder = Redis::builder(format!("rediss://127.0.0.1:{}", tls_ports[0]))
        .tls_ca(certificates.authority.as_str())
        .tls_client_certificate(certificate.as_str(), key.as_str());
    let kept = works(builder).await;
    for presented in kept.sessions(20).await {
        assert!(kept.lives(&presented).await);
    }
    let expected: BTreeSet<_> = tls_ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    assert_eq!(BTreeSet::from_iter(kept.store.servers()), expected);
    assert_eq!(cluster.immortal_keys(), Vec::<String>::new());
}

#[tokio::test]
async fn sentinels_and_the_primary_that_they_name_speak_tls() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (sentinels, url) = Sentinels::start_with_tls(&certificates);
    let (certificate, key) = &certificates.client;
    let own = |builder: RedisBuilder| builder.tls_client_certificate(certificate.as_str(), key.as_str());
    let kept = works(own(Redis::builder(&url)).tls_ca(certificates.authority.as_str())).await;
    kept.session().await;
    assert!(sentinels.servers[0].info("keyspace", "db0").starts_with("keys=1,"));
    for builder in [
        own(Redis::builder(&url)).tls_ca(others.authority.as_str()),
        Redis::builder(&url).tls_ca(certificates.authority.as_str()),
        own(Redis::builder(url.replace("rediss", "redis"))),
    ] {
        assert!(refused(builder).await.is_store());
    }
}

#[tokio::test]
async fn sentinels_name_the_primary_of_a_service_to_whom_they_know() {
    let sentinels = Sentinels::start();
    sentinels.servers.iter().for_each(|server| permit(server, &[NEEDED, &["select"]]));
    let url = sentinels.urls()[1].replace("127.0.0.1", &format!("app:{PASSWORD}@127.0.0.1"));
    works(Redis::builder(&url)).await;
    works(Redis::builder("redis+sentinel://127.0.0.1:1/cloakroom").and(&url).username("app").password(PASSWORD)).await;
    let kept = works(Redis::builder(format!("{url}/2"))).await;
    kept.session().await;
    assert!(sentinels.servers[0].info("keyspace", "db2").starts_with("keys=1,"));
    let error = refused(Redis::builder(url.replace(PASSWORD, "hunter2-guessed"))).await;
    assert!(error.is_store() && error.to_string().contains("authentication failed"), "{error}");
    let error = refused(Redis::builder(url.replace("/cloakroom", "/wardrobe"))).await;
    assert!(error.is_store() && error.to_string().contains("wardrobe"), "{error}");
    let error = refused(Redis::builder(url.replace("/cloakroom", ""))).await;
    assert!(error.is_config() && error.to_string().contains("service"), "{error}");
    sentinels.permit("watcher", PASSWORD);
    works(Redis::builder(format!("{url}?sentinel_user=watcher&sentinel_password={PASSWORD}"))).await;
    let error = refused(Redis::builder(format!("{url}?sentinel_user=watcher&sentinel_password=hunter2-guessed"))).await;
    assert!(error.is_store(), "{error}");
}
