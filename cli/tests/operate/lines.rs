//! Sessions as lines of JSON: what is exported can be imported, and nothing else.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::cluster::RedisCluster;
use crate::support::demo::cloakroom;
use crate::support::eventually;
use crate::support::operator::{House, Said, run};

/// What is exported from a store, in no order.
pub(crate) fn lines_of(flags: &[&str]) -> BTreeSet<String> {
    let said = run(&[&["export"], flags].concat(), &[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    said.stdout.lines().map(str::to_owned).collect()
}

pub(crate) fn import(lines: &[u8], flags: &[&str]) -> Said {
    import_in(&[], lines, flags)
}

/// With these variables in its environment.
pub(crate) fn import_in(environment: &[(&str, &str)], lines: &[u8], flags: &[&str]) -> Said {
    let mut command = cloakroom(&[&["import", "--json"], flags].concat());
    command.envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("its stdin");
    let lines = lines.to_vec();
    // who stops reading at a bad line does not want the rest
    let writing = std::thread::spawn(move || drop(stdin.write_all(&lines)));
    let done = child.wait_with_output().expect("it ends");
    writing.join().expect("all is written");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: done.status.code().expect("an exit code"), stdout: text(done.stdout), stderr: text(done.stderr) }
}

/// So many sessions, as lines: visitors and users of some devices each, some with a held previous secret.
pub(crate) fn made(sessions: usize) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut lines = Vec::new();
    for number in 0..sessions {
        let line = session(number, now);
        lines.extend(format!("{line}\n").bytes());
    }
    lines
}

fn session(number: usize, now: u64) -> Value {
    let text = |bytes: usize, kind: u8| {
        let mut all = vec![kind; bytes];
        all[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        URL_SAFE_NO_PAD.encode(all)
    };
    let iso = |second: usize| format!("2026-01-02T03:{:02}:{:02}.{:03}+00:00", second % 60, number % 60, number % 1000);
    let mut stored = json!({
        "created_at": iso(1), "last_accessed_at": iso(2), "session_ttl": "999999999",
        "expires_at": (now + 40_000 + number as u64).to_string(), "secret_hash": text(32, 1),
        "username": format!("Ä user {number}"), "cart": "x".repeat(number % 200),
    });
    if number.is_multiple_of(3) {
        return json!({ "id": text(16, 0), "signed_in_at": null, "stored": stored });
    }
    stored["user_id"] = format!("user-{}", number % (1 + number / 5)).into();
    stored["auth_time"] = (now - 500).to_string().into();
    stored["rotated_at"] = (now - 400).to_string().into();
    stored["device"] = "Firefox on Linux".into();
    stored["ip"] = "192.0.2.7".into();
    if number.is_multiple_of(5) {
        stored["previous_secret_hash"] = text(32, 2).into();
        stored["previous_until"] = (now + 5).to_string().into();
    }
    json!({ "id": text(16, 0), "signed_in_at": format!("{}.{:06}", now - 500, number), "stored": stored })
}

#[test]
fn what_is_exported_is_imported_and_the_same() {
    let house = House::open();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let lines = made(1200);
    let said = import(&lines, &["--redis-url", &house.redis.url()]);
    assert_eq!((said.code, &said.json()["made"]), (0, &1200.into()), "{said:?}");
    let exported = house.run(&["export"]);
    assert_eq!(exported.stderr, "exported 1,200 sessions\n");
    let said = import(exported.stdout.as_bytes(), &["--store", path]);
    assert_eq!((said.code, &said.json()["made"]), (0, &1200.into()), "{said:?}");
    let expected: BTreeSet<_> = String::from_utf8(lines).expect("UTF-8").lines().map(str::to_owned).collect();
    assert!(lines_of(&["--store", path]) == expected);
    let said = import(exported.stdout.as_bytes(), &["--store", path]);
    assert_eq!((&said.json()["made"], &said.json()["already_there"]), (&0.into(), &1200.into()), "{said:?}");
}

#[test]
fn a_cluster_takes_and_gives_them_too() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (first, last) = (path("first"), path("last"));
    import(&made(600), &["--store", &first]);
    let patient = ["--redis-timeout", "20000"];
    let said = run(&[&["move", "--from", &first, "--to", &urls[0], "--to", &urls[1]], &patient[..]].concat(), &[]);
    assert_eq!(said.stdout, "moved 600 sessions\n", "{said:?}");
    let said = run(&[&["move", "--from", &urls[2], "--to", &last], &patient[..]].concat(), &[]);
    assert_eq!(said.stdout, "moved 600 sessions\n", "{said:?}");
    assert!(lines_of(&["--store", &last]) == lines_of(&["--store", &first]));
}

#[test]
fn bad_lines_are_named_and_the_others_are_imported() {
    let lines = String::from_utf8(made(4)).expect("UTF-8");
    let good: Vec<_> = lines.lines().collect();
    let bad = good[1].replace("\"session_ttl\":\"999999999\"", "\"session_ttl\":\"soon\"");
    let mut all = Vec::new();
    for line in [good[0].as_bytes(), b"{\"id\": ", b"", bad.as_bytes(), b"\xff", &good[2].as_bytes()[..90]] {
        all.extend(line);
        all.push(b'\n');
    }
    all.extend("y".repeat(17 << 20).bytes());
    all.extend(format!("\n{}\n{}", good[2], good[3]).bytes()); // the last line has no end
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let said = import(&all, &["--store", path]);
    assert_eq!((said.code, &said.json()["made"], &said.json()["bad_lines"]), (1, &3.into(), &5.into()), "{said:?}");
    for named in [
        "line 2: the line is not JSON",
        "line 4: the field `session_ttl`",
        "line 5: the line is not UTF-8",
        "line 6:",
        "line 7: the line is longer",
    ] {
        assert!(said.stderr.contains(named), "{named}: {said:?}");
    }
    assert_eq!(lines_of(&["--store", path]), [good[0], good[2], good[3]].map(str::to_owned).into());

    let strict = dir.path().join("strict");
    let strict = strict.to_str().expect("UTF-8");
    let said = import(&all, &["--strict", "--store", strict]);
    assert!(said.code == 1 && said.stderr.contains("line 2"), "{said:?}");
    assert_eq!(lines_of(&["--store", strict]).len(), 1, "what came before is there");
    let said = import(&all, &["--dry-run", "--store", path]);
    assert_eq!(said.json()["already_there"], 3, "{said:?}");
}

#[test]
fn what_has_expired_stays_expired() {
    let (here, there) = (House::open(), House::open());
    for _ in 0..5 {
        here.visitor_for(1);
    }
    let lasting = here.visitor();
    let exported = here.run(&["export"]).stdout;
    eventually("they expire", || (here.cli::<u64>("DBSIZE") == 1).then_some(()));
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    for target in [["--redis-url", &there.redis.url()], ["--store", path]] {
        let said = import(exported.as_bytes(), &target);
        let expired = exported.lines().count() as u64 - 1;
        assert_eq!((&said.json()["made"], &said.json()["ended"]), (&1.into(), &expired.into()), "{said:?}");
        assert_eq!(run(&[&["list", "--json"], &target[..]].concat(), &[]).ids(), [lasting.expose().to_owned()].into());
    }
}

/// The lines, and another field in the first.
fn with(lines: &[u8], name: &str, text: &str) -> (String, String) {
    let lines = String::from_utf8(lines.to_vec()).expect("UTF-8");
    let line = lines.lines().next().expect("a line").to_owned();
    let mut value: Value = serde_json::from_str(&line).expect("JSON");
    let field = if name == "signed_in_at" { &mut value[name] } else { &mut value["stored"][name] };
    *field = text.into();
    (line, value.to_string())
}

#[test]
fn a_byte_order_mark_costs_no_session() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let lines = made(2);
    let said = import(&[&b"\xef\xbb\xbf"[..], &lines].concat(), &["--store", path]);
    assert_eq!((said.code, &said.json()["made"]), (0, &2.into()), "{said:?}");
    let said = import(&[&b"\xef\xbb\xbf\n"[..], &lines].concat(), &["--store", path]);
    assert_eq!((said.code, &said.json()["already_there"]), (0, &2.into()), "{said:?}");
    // anywhere else it is no mark
    let said = import(&[&lines[..], b"\xef\xbb\xbf", &lines].concat(), &["--store", path]);
    assert!(said.code == 1 && said.stderr.contains("line 3: the line is not JSON"), "{said:?}");
}

#[test]
fn a_session_that_is_there_twice_is_one_and_two_states_of_it_are_a_conflict() {
    let redis = House::open();
    let lines = made(2);
    let (line, other) = with(&lines, "username", "somebody else");
    for dry_run in [&["--dry-run"][..], &[]] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_str().expect("UTF-8");
        for place in [["--store", path], ["--redis-url", &redis.redis.url()]] {
            let flags = [&place[..], dry_run].concat();
            let said = import(format!("{line}\n{line}\n{line}\n").as_bytes(), &flags);
            let counts = ["made", "already_there", "differing"].map(|name| said.json()[name].clone());
            assert_eq!((said.code, counts), (0, [1.into(), 2.into(), 0.into()]), "{flags:?}: {said:?}");
        }
        let said = import(format!("{line}\n{other}\n").as_bytes(), &[&["--store", path], dry_run].concat());
        assert!(said.code == 1 && said.json()["differing"] == 1, "{said:?}");
    }
}

#[test]
fn times_in_the_future_are_refused_with_the_number_of_their_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let line = made(2);
    let signed_in = &line[line.iter().position(|b| *b == b'\n').expect("a line") + 1..];
    let after = |seconds: u64| SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + seconds;
    for (name, text) in [
        ("signed_in_at", "99999999999.000000".to_owned()),
        ("signed_in_at", format!("{}.000000", after(3600))),
        ("created_at", "2999-01-01T00:00:00.000+00:00".to_owned()),
        ("last_accessed_at", "2999-01-01T00:00:00.000+00:00".to_owned()),
        ("rotated_at", after(3600).to_string()),
        ("auth_time", after(3600).to_string()),
    ] {
        let (_, line) = with(signed_in, name, &text);
        let said = import(format!("\n{line}\n").as_bytes(), &["--store", path]);
        let why = format!("line 2: `{name}` is in the future");
        assert!(said.code == 1 && said.stderr.contains(&why), "{why}: {said:?}");
        assert_eq!(said.json()["made"], 0, "{said:?}");
    }
    // clocks may be a little apart
    let (_, line) = with(signed_in, "signed_in_at", &format!("{}.000000", after(30)));
    assert_eq!(import(line.as_bytes(), &["--store", path]).json()["made"], 1);
}

#[test]
fn a_key_that_is_there_twice_is_refused_by_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let (line, _) = with(&made(1), "username", "x");
    for (first, twice, name) in [
        ("{\"id\":", "{\"id\":\"x\",\"id\":", "id"),
        ("\"stored\":{", "\"stored\":{},\"stored\":{", "stored"),
        ("\"stored\":{", "\"stored\":{\"cart\":\"hunter2\",", "cart"),
        ("\"stored\":{", "\"stored\":{\"us\\u0065rname\":\"hunter2\",", "username"),
    ] {
        assert!(line.contains(first), "{line}");
        let said = import(line.replace(first, twice).as_bytes(), &["--store", path]);
        let why = format!("line 1: the key `{name}` is given twice");
        assert!(said.code == 1 && said.stderr.contains(&why), "{why}: {said:?}");
        assert!(said.json()["made"] == 0 && !said.all().contains("hunter2"), "{said:?}");
    }
}
