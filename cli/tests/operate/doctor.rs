//! What the doctor finds: each finding is made true, and goes away again.

use serde_json::Value;

use crate::support::operator::House;
use crate::support::redis_server::RedisServer;

#[track_caller]
fn assert_finds(house: &House, check: &str, level: &str, words: &str) {
    let said = house.run(&["doctor", "--json"]);
    let (found, text) = said.finding(check);
    assert_eq!(found, level, "{check}: {text}");
    assert!(text.contains(words), "{check}: {words}: {text}");
    let expected = i32::from(said.json()["summary"]["bad"] != 0);
    assert_eq!(said.code, expected, "{said:?}");
}

#[test]
fn a_good_server_has_nothing_bad_and_each_check_has_a_line() {
    let house = House::of(RedisServer::start_with(&["--appendonly", "yes"]));
    house.signed_in("andrew");
    let said = house.run(&["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.ends_with(" ok\n") && said.stdout.contains("0 bad"), "{said:?}");
    assert!(!said.all().contains('\u{1b}'), "no colour where nobody looks: {said:?}");
    let checks = [
        "server",
        "cluster",
        "encryption",
        "acl",
        "commands",
        "eviction",
        "persistence",
        "replicas",
        "latency",
        "clock",
        "time-outs",
        "keys",
        "expiry",
        "encoding",
        "memory",
        "ghosts",
        "misses",
    ];
    let lines: Vec<_> = said.stdout.lines().take(checks.len()).collect();
    for (line, check) in lines.iter().zip(checks) {
        let mut words = line.split_whitespace();
        assert!(["ok", "warn"].contains(&words.next().unwrap_or_default()), "{line}");
        assert_eq!(words.next(), Some(check), "{line}");
    }
    let json = house.run(&["doctor", "--json"]).json();
    let named: Vec<_> = json["findings"].as_array().expect("a list").iter().map(|finding| &finding["check"]).collect();
    assert_eq!(named, checks.map(Value::from).iter().collect::<Vec<_>>());
}

#[test]
fn any_policy_but_noeviction_is_bad() {
    let house = House::open();
    assert_finds(&house, "eviction", "ok", "noeviction");
    for policy in ["allkeys-lru", "volatile-lru", "volatile-ttl"] {
        house.cli::<()>(&format!("CONFIG SET maxmemory-policy {policy}"));
        assert_finds(&house, "eviction", "bad", policy);
    }
    house.cli::<()>("CONFIG SET maxmemory-policy noeviction");
    let used: String = house.cli("INFO memory");
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("it is there").to_owned();
    house.cli::<()>(&format!("CONFIG SET maxmemory {used}"));
    assert_finds(&house, "eviction", "warn", "raise maxmemory");
}

#[test]
fn persistence_is_looked_at() {
    let house = House::open();
    assert_finds(&house, "persistence", "warn", "a restart signs everybody out");
    let _: () =
        redis::cmd("CONFIG").arg(&["SET", "save", "3600 1"]).query(&mut house.redis.client()).expect("it is set");
    assert_finds(&house, "persistence", "warn", "only snapshots are written (3600 1)");
    house.cli::<()>("CONFIG SET appendonly yes");
    assert_finds(&house, "persistence", "ok", "everysec");
    house.cli::<()>("CONFIG SET appendfsync no");
    assert_finds(&house, "persistence", "warn", "appendfsync is no");
    house.cli::<()>("CONFIG SET appendfsync always");
    assert_finds(&house, "persistence", "ok", "always");
}

#[test]
fn replicas_are_counted_and_what_happens_without_them() {
    let house = House::open();
    assert_finds(&house, "replicas", "warn", "no replica");
    house.cli::<()>("CONFIG SET min-replicas-to-write 1");
    assert_finds(&house, "replicas", "bad", "refused now");
    house.cli::<()>("CONFIG SET min-replicas-to-write 0");
    let replica = House::open();
    replica.cli::<()>(&format!("REPLICAOF 127.0.0.1 {}", house.redis.port()));
    crate::support::eventually("the replica is online", || {
        let info: String = house.cli("INFO replication");
        info.contains("state=online").then_some(())
    });
    assert_finds(&house, "replicas", "warn", "min-replicas-to-write is 0");
    house.cli::<()>("CONFIG SET min-replicas-to-write 1");
    crate::support::eventually("the replica counts as good", || {
        house.cli::<String>("INFO replication").contains("min_slaves_good_slaves:1").then_some(())
    });
    assert_finds(&house, "replicas", "ok", "1 online");
    assert_finds(&replica, "server", "bad", "a replica");
}

#[test]
fn a_server_that_closes_idle_connections_is_noticed() {
    let house = House::open();
    assert_finds(&house, "time-outs", "ok", "");
    house.cli::<()>("CONFIG SET timeout 60");
    assert_finds(&house, "time-outs", "warn", "60 s");
    house.cli::<()>("CONFIG SET timeout 0");
    house.cli::<()>("CONFIG SET tcp-keepalive 0");
    assert_finds(&house, "time-outs", "warn", "tcp-keepalive is 0");
}

#[test]
fn a_server_that_cannot_write_to_its_disk_is_bad() {
    let house = House::open();
    std::fs::remove_dir_all(house.redis.dir()).expect("its directory was there");
    house.cli::<()>("BGSAVE");
    crate::support::eventually("it has found out", || {
        house.cli::<String>("INFO persistence").contains("rdb_last_bgsave_status:err").then_some(())
    });
    assert_finds(&house, "persistence", "bad", "the last write to disk failed");
}

#[test]
fn a_key_without_an_expiry_is_bad_and_named() {
    let house = House::open();
    let id = house.signed_in("andrew");
    assert_finds(&house, "expiry", "ok", "every key");
    house.cli::<()>(&format!("PERSIST session:{}", id.expose()));
    assert_finds(&house, "expiry", "bad", &format!("session:{}", id.expose()));
    house.cli::<()>(&format!("EXPIRE session:{} 600", id.expose()));
    house.cli::<()>("PERSIST session:user:andrew");
    assert_finds(&house, "expiry", "bad", "session:user:andrew");
}

#[test]
fn a_plain_token_without_an_expiry_is_not_shown_whole() {
    let house = House::open();
    let id = house.plain();
    house.cli::<()>(&format!("PERSIST session:{}", id.expose()));
    let said = house.run(&["doctor", "--plain-tokens", "--json"]);
    let (level, text) = said.finding("expiry");
    assert!(level == "bad" && text.contains(&id.expose()[..8]), "{text}");
    assert!(!said.all().contains(&id.expose()[..9]));
}

#[test]
fn long_values_are_named_with_what_they_cost() {
    let house = House::open();
    for _ in 0..3 {
        house.visitor();
    }
    assert_finds(&house, "encoding", "ok", "hash-max-listpack-value is 64");
    for _ in 0..3 {
        house.visitor_with(&["agent", &"x".repeat(100)]);
    }
    assert_finds(&house, "encoding", "warn", "agent (100 bytes) → run CONFIG SET hash-max-listpack-value 128");
    let (_, weight) = house.run(&["doctor", "--json"]).finding("memory");
    assert!(weight.contains("bytes for a session") && weight.contains("MiB for a million"), "{weight}");
}

#[test]
fn ghosts_are_counted_and_repaired_and_nothing_else_is_touched() {
    let house = House::open();
    let alive = house.signed_in("andrew");
    let dead = [house.signed_in("andrew"), house.signed_in("andrew"), house.signed_in("berta")];
    assert_finds(&house, "ghosts", "ok", "0 of 4 ids");
    dead.iter().for_each(|id| house.cli::<()>(&format!("DEL session:{}", id.expose())));
    // a sign-in that has just begun: its session is there, but bound to nobody yet
    let beginning = house.visitor();
    house.cli::<()>(&format!("ZADD session:user:andrew -1 {}", beginning.expose()));
    house.cli::<()>("ZADD session:user:andrew 1 not-an-id");
    // and a restore that has just begun
    let marker = format!("restoring {} 1775133296.123456 0123456789abcdef", "A".repeat(22));
    house.redis.ask::<()>(&["ZADD", "session:user:andrew", "-1001775133296", &marker]);
    let foreign = "session:app-a:user:andrew";
    house.cli::<()>(&format!("ZADD {foreign} 1 AAAAAAAAAAAAAAAAAAAAAA"));
    assert_finds(&house, "ghosts", "warn", "3 of 5 ids");

    let unsure = house.run(&["doctor", "--repair"]);
    assert!(unsure.code == 2 && unsure.stderr.contains("remove 3 ghosts"), "{unsure:?}");
    assert_eq!(house.cli::<u64>("ZCARD session:user:andrew"), 6);

    let sure = house.run(&["doctor", "--repair", "--yes", "--json"]);
    assert_eq!(sure.code, 0, "{sure:?}");
    assert_eq!(sure.finding("repair").1, "removed 3 ghosts from the users' indexes → ");
    let mut left: Vec<String> = house.cli("ZRANGE session:user:andrew 0 -1");
    left.sort();
    let mut kept = [alive.expose(), beginning.expose(), "not-an-id", &marker];
    kept.sort();
    assert_eq!(left, kept);
    assert_eq!(house.cli::<u64>(&format!("ZCARD {foreign}")), 1);
    assert!(house.exists(&alive) && house.exists(&beginning));
    let again = house.run(&["doctor", "--repair", "--json"]);
    assert_eq!(again.finding("repair").1, "there are no ghosts to remove → ");
}

#[test]
fn a_session_that_its_users_index_does_not_know_is_bad() {
    let house = House::open();
    let id = house.signed_in("andrew");
    assert_finds(&house, "misses", "ok", "every one of 1 signed-in session");
    house.cli::<()>(&format!("ZREM session:user:andrew {}", id.expose()));
    assert_finds(&house, "misses", "bad", "signing out everywhere");
}

#[test]
fn other_applications_keys_under_a_longer_prefix_are_left_alone() {
    let house = House::open();
    house.visitor();
    for key in ["session:app-a:AAAAAAAAAAAAAAAAAAAAAA", "session:app-a:user:andrew", "session:notes"] {
        house.cli::<()>(&format!("SET {key} theirs"));
    }
    house.cli::<()>("SET session:BBBBBBBBBBBBBBBBBBBBBA text EX 600");
    let mut monitor = house.redis.monitor();
    let said = house.run(&["doctor", "--repair", "--yes", "--json"]);
    let (level, text) = said.finding("keys");
    assert!(text.contains("3 other keys with the same prefix skipped"), "{text}");
    assert!(level == "warn" && text.contains("1 key of another type"), "{text}");
    assert_eq!(said.finding("expiry").0, "ok");
    let touched = monitor.lines().into_iter().filter(|line| line.contains("app-a") || line.contains("notes"));
    assert_eq!(touched.collect::<Vec<_>>(), Vec::<String>::new());
}

/// A configuration file for this Redis, with these settings.
fn configuration(house: &House, settings: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloakroom.toml");
    let text = format!("{settings}\n[store]\nplace = \"redis://127.0.0.1:{}\"\n", house.redis.port());
    std::fs::write(&path, text).expect("a file");
    (directory, path.display().to_string())
}

#[track_caller]
fn assert_compares(house: &House, settings: &str, level: &str, words: &str) {
    let (_directory, path) = configuration(house, settings);
    let said = crate::support::operator::run(&["doctor", "--json", "--config", &path], &[]);
    let (found, text) = said.finding("configuration");
    assert_eq!(found, level, "{settings}: {text}");
    assert!(text.contains(words), "{settings}: {words}: {text}");
}

#[test]
fn what_does_not_fit_the_configuration_file_is_found() {
    let house = House::open();
    for _ in 0..3 {
        house.signed_in("andrew");
    }
    assert_compares(&house, "", "ok", "fits the configuration file");
    assert_compares(&house, "max_sessions_per_user = 2", "warn", "a user has 3 sessions");
    assert_compares(&house, "token_format = \"plain\"", "bad", "3 sessions with tokens of the format `secret`");

    let keys: Vec<String> = house.cli("KEYS session:*");
    let visitor = keys.iter().find(|key| !key.contains("user:")).expect("a session");
    house.cli::<()>(&format!("HDEL {visitor} user_id"));
    assert_compares(&house, "", "ok", "fits the configuration file");
    assert_compares(
        &house,
        "idle_timeout = \"5m\"",
        "warn",
        "1 session of visitors with another idle timeout than the file's 300",
    );
}
