//! The verbs wherever an application's sessions can be: a cluster, behind sentinels, with TLS, at a socket, as a user of few
//! rights.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::store::{Redis, RedisBuilder};

use crate::lines::import_in;
use crate::support::cluster::RedisCluster;
use crate::support::operator::{Application, Said, run};
use crate::support::sentinels::Sentinels;
use crate::support::tls::Certificates;
use crate::support::{RedisServer, eventually};

const PASSWORD: &str = "correct-horse-battery";
/// What a busy machine may take.
const PATIENT: Duration = Duration::from_secs(20);

/// Every verb, with an application's sessions of two users and a visitor.
fn every_verb_works(application: RedisBuilder, flags: &[&str], environment: &[(&str, &str)]) {
    let application = Application::of(application.timeout(PATIENT));
    let verb = |arguments: &[&str]| -> Said {
        let said = run(&[arguments, flags, &["--redis-timeout", "20000"]].concat(), environment);
        assert!(!said.all().contains(PASSWORD), "{said:?}");
        said
    };
    let mut made: Vec<_> = (0..12).map(|_| application.signed_in("andrew")).collect();
    made.extend([application.signed_in("beth"), application.visitor()]);
    let ids: BTreeSet<_> = made.iter().map(|id| id.expose().to_owned()).collect();

    let listed = verb(&["list", "--json"]);
    assert_eq!(listed.ids(), ids, "{listed:?}");
    assert_eq!(verb(&["list", "--json", "--user", "beth"]).json()["user"], "beth");
    assert_eq!(verb(&["show", "--json", made[3].expose()]).json()["id"], made[3].expose());
    let stats = verb(&["stats", "--json"]).json();
    assert_eq!((&stats["sessions"], &stats["users"]), (&14.into(), &2.into()), "{stats}");
    let watched = verb(&["watch", "--count", "1", "--json"]).json();
    assert_eq!(watched["sessions"], 14, "{watched}");

    let exported = verb(&["export"]).stdout;

    let ended = verb(&["revoke", "--json", "--user", "andrew"]);
    assert_eq!(ended.json()["ended"], 12, "{ended:?}");
    let left = verb(&["list", "--json"]).json_lines();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(verb(&["revoke", "--json", left[0]["id"].as_str().unwrap()]).json()["ended"], 1);
    assert_eq!(verb(&["revoke", "--all", "--yes", "--json"]).json()["ended"], 1);
    assert_eq!(verb(&["stats", "--json"]).json()["sessions"], 0);

    let said = import_in(environment, exported.as_bytes(), &[flags, &["--redis-timeout", "20000"]].concat());
    assert_eq!((said.code, &said.json()["made"]), (0, &14.into()), "{said:?}");
    let sorted = |lines: &str| lines.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&verb(&["export"]).stdout), sorted(&exported));
    assert_eq!(verb(&["revoke", "--all", "--yes", "--json"]).json()["ended"], 14);
}

fn doctor(flags: &[&str], environment: &[(&str, &str)]) -> Said {
    run(&[&["doctor", "--json"], flags].concat(), environment)
}

#[test]
fn the_verbs_reach_every_node_of_a_cluster_from_any() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let application = || Redis::builder(&urls[0]).and(&urls[1]);
    every_verb_works(application(), &["--redis-url", &urls[2], "--redis-url", &urls[0]], &[]);
    every_verb_works(application(), &["--redis-url", &urls[1]], &[]);
    every_verb_works(application(), &[], &[("REDIS_URL", &urls.join(" "))]);
    let said = doctor(&["--redis-url", &urls[0]], &[]);
    let (level, text) = said.finding("cluster");
    assert!(level == "ok" && text.contains("16384"), "{said:?}");

    // a slot that nobody has: all of the cluster refuses, or where it may go on that slot alone
    let owner = &cluster.nodes[cluster.primary_of_slot(0, 0)];
    owner.ask::<()>(&["CLUSTER", "DELSLOTS", "0"]);
    for (full_coverage, words) in
        [("yes", "state is fail: the whole cluster may refuse commands"), ("no", "sessions in the other slots fail")]
    {
        owner.ask::<()>(&["CONFIG", "SET", "cluster-require-full-coverage", full_coverage]);
        let said = eventually("the node has found out", || {
            let said = doctor(&["--redis-url", &owner.url()], &[]);
            said.stdout.contains(words).then_some(said)
        });
        let findings = said.json()["findings"].as_array().expect("a list").clone();
        let bad = findings.iter().find(|finding| finding["check"] == "cluster" && finding["level"] == "bad");
        let bad = bad.unwrap_or_else(|| panic!("{said:?}"));
        assert!(bad["text"].as_str().is_some_and(|text| text.starts_with("16383 of 16384")), "{bad}");
        assert_eq!(bad["servers"], serde_json::json!([format!("127.0.0.1:{}", owner.port())]), "{bad}");
        assert_eq!(said.code, 1, "{said:?}");
    }
}

#[test]
fn a_part_of_a_cluster_that_is_away_is_not_passed_over() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut cluster = runtime.block_on(RedisCluster::without_replicas(async |_| Vec::new()));
    let (urls, dead) = (cluster.urls(), format!("127.0.0.1:{}", cluster.nodes[2].port()));
    cluster.nodes[2].kill();
    for verb in [&["stats"][..], &["list"], &["watch", "--count", "1"], &["revoke", "--all", "--yes"]] {
        let said = run(&[verb, &["--redis-url", &urls[0]]].concat(), &[]);
        assert!(said.code == 4 && said.stderr.contains(&dead), "{said:?}");
    }
    let said = doctor(&["--redis-url", &urls[0]], &[]);
    assert_eq!(said.code, 1, "{said:?}");
    let findings = said.json()["findings"].as_array().expect("a list").clone();
    let silent = findings.iter().find(|finding| finding["check"] == "server" && finding["level"] == "bad");
    assert!(silent.is_some_and(|finding| finding["servers"][0] == dead.as_str()), "{said:?}");
    assert_eq!(said.finding("keys").0, "bad", "{said:?}");
}

#[test]
fn the_verbs_ask_sentinels_for_the_primary() {
    let sentinels = Sentinels::start();
    let urls = sentinels.urls();
    let flags = ["--redis-url", &urls[1], "--redis-url", &urls[2]];
    every_verb_works(Redis::builder(&urls[0]), &flags, &[]);
    let (level, text) = doctor(&flags, &[]).finding("replicas");
    assert!(level == "warn" && text.starts_with("2 online"), "{text}");
    let (level, text) = doctor(&flags, &[]).finding("encryption");
    assert!(level == "warn" && text.contains("sentinels"), "{text}");
    let itself = urls[0].replace("redis+sentinel", "redis").replace("/cloakroom", "");
    let (level, text) = doctor(&["--redis-url", &itself], &[]).finding("server");
    assert!(level == "bad" && text.contains("stores no sessions"), "{text}");
    let elsewhere = urls[1].replace("/cloakroom", "/wardrobe");
    let said = run(&["stats", "--redis-url", &elsewhere], &[]);
    assert!(said.code == 4 && said.stderr.contains("wardrobe"), "{said:?}");
}

#[test]
fn the_verbs_show_a_certificate_and_want_to_see_one() {
    let certificates = Certificates::new();
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (_server, port) = certificates.server();
    let url = format!("rediss://127.0.0.1:{port}");
    let (ca, certificate, key) = (
        file("ca.pem", &certificates.authority),
        file("client.pem", &certificates.client.0),
        file("client.key", &certificates.client.1),
    );
    let application = Redis::builder(&url)
        .tls_ca(certificates.authority.as_str())
        .tls_client_certificate(certificates.client.0.as_str(), certificates.client.1.as_str());
    let flags = ["--redis-url", &url, "--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key];
    every_verb_works(application, &flags, &[]);
    assert_eq!(doctor(&flags, &[]).finding("encryption").0, "ok");
    for too_little in [&flags[..2], &flags[..4]] {
        let said = run(&[&["stats"], too_little].concat(), &[]);
        assert_eq!(said.code, 4, "{said:?}");
    }
}

#[test]
fn the_verbs_reach_a_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("redis.sock").to_str().expect("UTF-8").to_owned();
    let _server = RedisServer::start_with(&["--unixsocket", &socket]);
    let url = format!("unix://{socket}");
    every_verb_works(Redis::builder(&url), &["--redis-url", &url], &[]);
}

#[test]
fn the_verbs_work_as_a_user_whose_password_is_in_a_file() {
    let server = RedisServer::start();
    let advice = doctor(&["--redis-url", &server.url()], &[]).finding("acl").1;
    let rules = advice.split_once("ACL SETUSER cloakroom ").expect("it says which rules").1;
    let rules = rules.replace("PASSWORD", PASSWORD);
    // the application needs no SCAN, an operator does
    let rules: Vec<_> = ["ACL", "SETUSER", "cloakroom"].into_iter().chain(rules.split_whitespace()).collect();
    server.ask::<()>(&[&rules[..], &["+scan"]].concat());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{PASSWORD}\n")).expect("it is written");
    let (url, file) = (server.url(), file.path().to_str().expect("UTF-8"));
    let flags = ["--redis-url", &url, "--redis-username", "cloakroom", "--redis-password-file", file];
    every_verb_works(Redis::builder(&url), &flags, &[]);
    let by_environment = &flags[..4];
    every_verb_works(Redis::builder(&url), by_environment, &[("REDIS_PASSWORD", PASSWORD)]);
    let wrong = run(&[&["stats"], by_environment].concat(), &[("REDIS_PASSWORD", "not-it-at-all")]);
    assert!(wrong.code == 4 && !wrong.all().contains("not-it-at-all"), "{wrong:?}");
}
