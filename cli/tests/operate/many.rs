//! So many sessions that it matters how they are looked at.

use crate::support::operator::House;

const MANY: usize = 10_000;

fn fill(house: &House) {
    let mut client = house.redis.client();
    let mut flight = redis::pipe();
    for i in 0..MANY {
        let key = format!("session:{i:021}A");
        let fields = [("created_at", "2026-01-01T00:00:00.000+00:00"), ("session_ttl", "999999999")];
        flight.hset_multiple(&key, &fields).ignore();
        flight.hset(&key, "secret_hash", "A".repeat(43)).ignore().hset(&key, "expires_at", "9999999999").ignore();
        flight.pexpire(&key, 3_600_000).ignore();
    }
    flight.exec(&mut client).expect("they are written");
}

#[test]
fn ten_thousand_sessions_are_looked_at_in_small_steps_and_never_with_keys() {
    let house = House::open();
    fill(&house);
    let mut monitor = house.redis.monitor();
    let said = house.run(&["stats", "--json"]);
    assert_eq!(said.json()["sessions"], MANY, "{said:?}");
    let seen = monitor.lines();
    assert!(!seen.iter().any(|line| line.contains("\"KEYS\"")));
    let scans: Vec<_> = seen.iter().filter(|line| line.contains("\"SCAN\"")).collect();
    assert!(scans.len() >= 10 && scans.iter().all(|line| line.contains("\"COUNT\" \"500\"")), "{scans:?}");

    let said = house.run(&["doctor", "--sample", "100", "--json"]);
    assert!(said.stdout.contains("looked at 100 sessions"), "{said:?}");
    let seen = monitor.commands();
    assert!(!seen.contains(&"KEYS".to_owned()));
    let of_sessions = seen.iter().filter(|name| *name == "MEMORY").count();
    assert_eq!(of_sessions, 100, "a sample is a sample");

    let said = house.run(&["revoke", "--all", "--yes"]);
    assert_eq!(said.stdout, "ended 10,000 sessions\n", "{said:?}");
    assert!(!monitor.commands().contains(&"KEYS".to_owned()));
    assert_eq!(house.cli::<u64>("DBSIZE"), 0);
}

#[test]
fn the_rate_is_kept() {
    let house = House::open();
    for _ in 0..500 {
        house.visitor();
    }
    let begin = std::time::Instant::now();
    house.run(&["stats", "--rate", "500"]);
    assert!(begin.elapsed() > std::time::Duration::from_millis(800), "{:?}", begin.elapsed());
}
