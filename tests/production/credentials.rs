//! Passwords that change while a store is in use, and servers that are not there yet.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cloakroom::store::operate::Inspect;
use cloakroom::store::{Durability, Redis, RedisBuilder, RedisCredentials};

use crate::support::cluster::until;
use crate::support::redis_server::free_port;
use crate::support::{RedisCluster, RedisServer, Sentinels};
use crate::{Kept, PATIENT, SHORT};

const OLD: &str = "hunter2-of-old";
const NEW: &str = "hunter2-of-new";

/// From now on the user `app` comes in with this password only, and whoever is in is out.
fn rotate(server: &RedisServer, password: &str) {
    let password = format!(">{password}");
    let _: () = server.ask(&["ACL", "SETUSER", "app", "on", "resetpass", &password, "~*", "&*", "+@all"]);
    let _: i64 = server.ask(&["CLIENT", "KILL", "USER", "app"]);
}

/// As an editor or a secret's volume would: the line has an end.
fn write(file: &Path, password: &str) {
    std::fs::write(file, format!("{password}\n")).unwrap();
}

fn durably(builder: RedisBuilder) -> RedisBuilder {
    builder.durable_revokes(Durability { replicas: 0, on_disk: false, timeout: PATIENT })
}

/// Each connection is used: of all callers, and for durable revokes.
async fn works(kept: &Kept) {
    let presented = kept.session().await;
    assert!(kept.lives(&presented).await);
    assert_eq!(kept.revoke(&presented).await.unwrap(), 1);
}

fn assert_no_secret(text: &str) {
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_password_that_is_rotated_in_its_file_is_used_without_a_restart() {
    let server = RedisServer::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    rotate(&server, OLD);
    let builder = || durably(Redis::builder(server.url()).username("app").password_file(&file).timeout(PATIENT));

    let error = builder().connect().await.map(drop).unwrap_err();
    assert!(error.is_store() && error.to_string().contains(&file.display().to_string()), "{error}");
    for text in ["", "\n", "hunter2-one\nhunter2-two\n"] {
        std::fs::write(&file, text).unwrap();
        let error = builder().connect().await.map(drop).unwrap_err();
        assert!(error.is_store() && error.to_string().contains("must hold one line"), "{error}");
        assert_no_secret(&format!("{error} {error:?}"));
    }
    write(&file, OLD);
    let kept = Kept::on(builder()).await;
    works(&kept).await;

    rotate(&server, NEW);
    for _ in 0..3 {
        let error = kept.create().await.unwrap_err();
        assert_no_secret(&format!("{error} {error:?}"));
    }
    let error = kept.create().await.unwrap_err();
    assert!(error.to_string().contains("authentication failed"), "{error}");
    write(&file, NEW);
    works(&kept).await;
    // before the connections break, for once
    write(&file, OLD);
    rotate(&server, OLD);
    let presented = kept.until_it_works().await;
    assert!(kept.lives(&presented).await);
    works(&kept).await;
}

#[tokio::test]
async fn credentials_are_asked_for_anew_at_each_connection_to_each_node_of_a_cluster() {
    let cluster = RedisCluster::start();
    cluster.nodes.iter().for_each(|node| rotate(node, OLD));
    let (now, asked) = (Arc::new(Mutex::new(OLD)), Arc::new(Mutex::new(0)));
    let ask = {
        let (now, asked) = (now.clone(), asked.clone());
        move || {
            *asked.lock().unwrap() += 1;
            let password = *now.lock().unwrap();
            async move {
                match password {
                    "" => Err("the token server is away"),
                    password => Ok(RedisCredentials::password(password).username("app")),
                }
            }
        }
    };
    let kept = Kept::on(durably(Redis::builder(cluster.nodes[0].url()).timeout(PATIENT).credentials(ask))).await;
    for _ in 0..20 {
        works(&kept).await;
    }
    assert!(*asked.lock().unwrap() >= 6, "three primaries, each with two connections");
    *now.lock().unwrap() = NEW;
    cluster.nodes.iter().for_each(|node| rotate(node, NEW));
    for _ in 0..20 {
        let presented = kept.until_it_works().await;
        assert!(kept.lives(&presented).await);
        assert_eq!(kept.revoke(&presented).await.unwrap(), 1);
    }
    *now.lock().unwrap() = "";
    cluster.nodes.iter().for_each(|node| rotate(node, OLD));
    let mut last = String::new();
    for _ in 0..100 {
        if let Err(error) = kept.create().await {
            last = error.to_string();
            assert_no_secret(&last);
        }
    }
    assert!(last.contains("the token server is away"), "{last}");
}

#[tokio::test]
async fn sentinels_have_a_password_file_of_their_own() {
    let sentinels = Sentinels::start();
    sentinels.servers.iter().for_each(|server| rotate(server, OLD));
    sentinels.permit("watcher", OLD);
    let dir = tempfile::tempdir().unwrap();
    let (of_servers, of_sentinels) = (dir.path().join("servers"), dir.path().join("sentinels"));
    write(&of_servers, OLD);
    write(&of_sentinels, NEW);
    let url = format!("{}?sentinel_user=watcher", sentinels.urls()[1]);
    let builder = || Redis::builder(&url).username("app").password_file(&of_servers).timeout(PATIENT);
    let builder = || builder().sentinel_password_file(&of_sentinels);
    let error = builder().connect().await.map(drop).unwrap_err();
    assert!(error.is_store() && error.to_string().contains("the sentinel 127.0.0.1"), "{error}");
    assert_no_secret(&format!("{error} {error:?}"));
    write(&of_sentinels, OLD);
    let kept = Kept::on(builder()).await;
    works(&kept).await;
    write(&of_servers, NEW);
    sentinels.servers.iter().for_each(|server| rotate(server, NEW));
    kept.until_it_works().await;
    works(&kept).await;
}

#[tokio::test]
async fn an_application_starts_while_its_server_is_away_and_works_once_it_is_there() {
    let port = free_port();
    let builder = || Redis::builder(format!("redis://:{NEW}@127.0.0.1:{port}")).timeout(PATIENT);
    let begin = Instant::now();
    let kept = Kept::lazily_on(builder());
    let presented = cloakroom::conformance::mint();
    for _ in 0..20 {
        let error = cloakroom::Error::from(kept.load(&presented).await.unwrap_err());
        assert!(error.is_store() && !error.is_unknown() && error.to_string().contains("is not connected"), "{error}");
        assert_no_secret(&format!("{error} {error:?} {:?}", kept.store));
        assert!(kept.create().await.is_err() && kept.revoke(&presented).await.is_err());
    }
    assert!(begin.elapsed() < PATIENT, "calls fail at once: {:?}", begin.elapsed());
    assert_eq!(kept.store.servers(), Vec::<String>::new());
    assert!(kept.store.scan(None, 10).await.is_err(), "that there are no sessions would be wrong");
    let server = RedisServer::launch(port, &["--requirepass", NEW]);
    until("the server is there", || {
        let url = format!("redis://:{NEW}@127.0.0.1:{port}");
        redis::Client::open(url).unwrap().get_connection().is_ok()
    });
    works(&kept).await;
    assert_eq!(kept.store.servers().len(), 1);
    drop(server);
    // what can never work is still refused
    let error = Redis::builder("redis://192.0.2.1").connect_lazy().map(drop).unwrap_err();
    assert!(error.is_config(), "{error}");
}

#[tokio::test]
async fn a_cluster_and_sentinels_may_be_away_at_the_start_as_well() {
    let cluster = RedisCluster::start();
    cluster.nodes.iter().for_each(RedisServer::pause);
    let kept = Kept::lazily_on(Redis::builder(cluster.nodes[0].url()).timeout(SHORT));
    assert!(kept.create().await.is_err());
    cluster.nodes.iter().for_each(RedisServer::resume);
    cluster.wait_until_well(&[0, 1, 2]);
    kept.until_it_works().await;
    works(&kept).await;
    assert_eq!(kept.store.servers().len(), 3);

    let sentinels = Sentinels::start();
    let dead = "redis+sentinel://127.0.0.1:1/cloakroom";
    let nowhere = Kept::lazily_on(Redis::builder(dead).timeout(PATIENT));
    assert!(nowhere.create().await.unwrap_err().to_string().contains("127.0.0.1:1"));
    let kept = Kept::lazily_on(Redis::builder(dead).and(&sentinels.urls()[0]).timeout(PATIENT));
    works(&kept).await;
}
