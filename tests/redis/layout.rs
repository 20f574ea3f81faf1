//! The layout of the data in Redis, as redis-cli shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::conformance::{mint, mint_plain, new_session, with_new_secret};
use cloakroom::store::{Lookup, NewSession, Outcome, Redis, Store, Target};
use cloakroom::{
    OnLimit,
    store::{Change, FieldChanges, Refusal, Save},
};

use crate::support::{RedisServer, ServerClock};
use crate::{
    NO_ARGUMENTS, Stand, add, change, confirm, fields, key, limited, millis, remove, rotate_to, rotating_to, set, touch,
};

fn names(hash: &BTreeMap<String, String>) -> Vec<&str> {
    hash.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_session_is_a_hash_of_readable_text() {
    let mut stand = Stand::new().await;
    let before = stand.time();
    let presented = stand.session(&[("username", "andrew"), ("page_views", "3")]).await;
    let after = stand.time();

    assert_eq!(stand.ask::<String>("TYPE", key(&presented)), "hash");
    let hash = stand.hash(&presented);
    let expected =
        ["created_at", "expires_at", "last_accessed_at", "page_views", "secret_hash", "session_ttl", "username"];
    assert_eq!(names(&hash), expected);
    assert_eq!((hash["username"].as_str(), hash["page_views"].as_str()), ("andrew", "3"));
    assert_eq!(hash["session_ttl"], "1800");
    assert_eq!(hash["secret_hash"], presented.secret_hash.unwrap().as_str());
    assert_eq!(hash["created_at"], hash["last_accessed_at"]);
    // 2026-04-02T12:34:56.789+00:00
    assert_eq!(hash["created_at"].len(), 29);
    assert!(hash["created_at"].ends_with("+00:00"));
    let created: jiff::Timestamp = hash["created_at"].parse().unwrap();
    let created = created.as_millisecond() as u64;
    assert!((before..=after).contains(&created), "the server's time, {before} to {after}, not {created}");
    assert_eq!(hash["expires_at"], (created / 1000 + 12 * 60 * 60).to_string());
    assert_eq!(stand.expiry(&presented) as u64, created + 1_800_000);
}

#[tokio::test]
async fn a_hash_is_what_the_record_says_it_is() {
    let mut stand = Stand::new().await;
    let old = stand.session(&[("username", "andrew")]).await;
    let new = with_new_secret(&old);
    stand.made(&old, &rotate_to(&new)).await;
    for change in [set("a", "1"), confirm(), touch()] {
        let record = stand.made(&new, &change).await.record;
        assert_eq!(stand.hash(&new), record.to_stored().into_iter().collect());
    }
    let hash = stand.hash(&new);
    assert_eq!(hash["secret_hash"], new.secret_hash.unwrap().as_str());
    assert_eq!(hash["previous_secret_hash"], old.secret_hash.unwrap().as_str());
    let seconds = |name: &str| hash[name].parse::<u64>().unwrap();
    assert!(seconds("previous_until") >= seconds("rotated_at") + 10);
}

#[tokio::test]
async fn a_key_expires_with_its_absolute_deadline_where_that_comes_first() {
    let mut stand = Stand::new().await;
    let lifetime = stand.terms.absolute_lifetime;
    let presented = mint();
    let new = NewSession { idle_timeout: Some(lifetime), ..new_session(presented, fields(&[])) };
    stand.store.create(&new, &stand.terms).await.unwrap();
    let longest = change(FieldChanges { idle_timeout: Some(lifetime), ..FieldChanges::default() });
    for change in [None, Some(touch()), Some(longest), Some(set("a", "1"))] {
        if let Some(change) = change {
            stand.made(&presented, &change).await;
        }
        let deadline: i64 = stand.hash(&presented)["expires_at"].parse().unwrap();
        assert_eq!(stand.expiry(&presented), deadline * 1000);
    }
}

#[tokio::test]
async fn the_longest_idle_timeout_is_a_sessions_own_lifetime_however_late_it_is_asked_for() {
    let mut clock = ServerClock::new();
    let mut stand = Stand::on(RedisServer::start_in(clock.environment()), Duration::from_secs(30)).await;
    let presented = stand.session(&[]).await;
    clock.advance(Duration::from_secs(20 * 60));
    // the operator has lowered it since
    stand.terms.absolute_lifetime = Duration::from_secs(60 * 60);
    let week = change(FieldChanges { idle_timeout: Some(7 * Duration::from_secs(24 * 60 * 60)), ..Default::default() });
    let record = stand.made(&presented, &week).await.record;
    let own = record.expires_at.duration_since(record.created_at).unwrap().as_secs();
    assert_eq!(record.idle_timeout, Duration::from_secs(own));
    assert_eq!(stand.hash(&presented)["session_ttl"], own.to_string());
}

#[tokio::test]
async fn the_notice_of_an_eviction_stands_alone_at_the_key_for_five_minutes() {
    let mut stand = Stand::new().await;
    let alone = limited(1, OnLimit::EvictOldest);
    let evicted = stand.signed_in(&alone).await;
    let before = stand.time();
    stand.signed_in(&alone).await;
    let after = stand.time();
    let hash = stand.hash(&evicted);
    assert_eq!(names(&hash), ["ended", "secret_hash"]);
    assert_eq!(hash["secret_hash"], evicted.secret_hash.unwrap().as_str());
    let expiry = stand.expiry(&evicted) as u64;
    assert!((before + 300_000..=after + 300_000).contains(&expiry), "{before} to {after}: {expiry}");
}

#[tokio::test]
async fn a_plain_session_has_the_three_reserved_fields_of_the_tutorials() {
    let mut stand = Stand::new().await;
    let presented = mint_plain();
    let new = new_session(presented, fields(&[("username", "andrew")]));
    stand.store.create(&new, &stand.terms).await.unwrap();
    for change in [set("a", "1"), touch(), confirm(), remove("a")] {
        stand.made(&presented, &change).await;
    }
    assert_eq!(names(&stand.hash(&presented)), ["created_at", "last_accessed_at", "session_ttl", "username"]);
}

#[tokio::test]
async fn every_script_leaves_the_expiry_that_the_record_says() {
    let mut stand = Stand::new().await;
    let mut presented = stand.session(&[("a", "1"), ("text", "andrew")]).await;
    let new = with_new_secret(&presented);
    let idle = |secs| change(FieldChanges { idle_timeout: Some(Duration::from_secs(secs)), ..FieldChanges::default() });
    let changes = [
        set("b", "2"),
        add("n", 1),
        remove("a"),
        touch(),
        add("text", 1),
        set("a", "1").expecting_nothing("b"),
        idle(60),
        idle(999_999),
        rotating_to(&new, FieldChanges { set: fields(&[("c", "3")]), ..FieldChanges::default() }),
        confirm(),
        idle(120),
        Save::default().into(),
    ];
    for change in changes {
        stand.apply(&presented, &change).await;
        if change.new_secret().is_some() {
            presented = new;
        }
        let record = stand.load(&presented).await.unwrap().record;
        assert_eq!(stand.expiry(&presented) as u64, millis(record.ends_at()), "{change:?}");
    }
}

trait Expecting {
    fn expecting_nothing(self, name: &str) -> Self;
}

impl Expecting for Change {
    fn expecting_nothing(mut self, name: &str) -> Change {
        match &mut self {
            Change::Save(save) => save.fields.expect.insert(name.to_owned(), None),
            Change::Rotate(rotation) => rotation.fields.expect.insert(name.to_owned(), None),
            Change::SignIn { .. } => panic!("a sign-in expects nothing of a field"),
        };
        self
    }
}

#[tokio::test]
async fn a_counter_that_the_server_refuses_leaves_no_trace_of_the_whole_change() {
    let mut stand = Stand::new().await;
    for countless in ["andrew", "9223372036854775807"] {
        let stored = [("down", "5"), ("lowest", "9"), ("same", "4"), ("up", "-7"), ("views", "1")];
        let presented = stand.session(&stored).await;
        let loaded = stand.load(&presented).await.unwrap();
        // only the server knows of this when it is asked
        let _: i64 = stand.ask("HSET", (key(&presented), "views", countless));
        let before = (stand.hash(&presented), stand.expiry(&presented));
        let by = [("down", -3), ("lowest", i64::MIN), ("new", 1), ("same", 0), ("up", 2), ("views", 1)];
        let fields = FieldChanges {
            set: fields(&[("a", "1")]),
            add: by.map(|(name, by)| (name.to_owned(), by)).into(),
            idle_timeout: Some(Duration::from_secs(60)),
            ..FieldChanges::default()
        };
        let counting = Save { fields, touch: true, ..Save::default() }.into();
        let answer = stand.store.apply_to(&loaded, &presented, &counting, &stand.terms).await.unwrap();
        assert!(matches!(&answer, Outcome::Refused(Refusal::Invalid { field, .. }) if field == "views"), "{answer:?}");
        assert_eq!((stand.hash(&presented), stand.expiry(&presented)), before);
    }
}

#[tokio::test]
async fn a_session_with_the_most_fields_that_can_be_allowed_is_made_and_changed_as_a_whole() {
    let mut stand = Stand::new().await;
    stand.terms.max_fields = 1024;
    let stored = |text: &str| (0..1024).map(|i| (format!("field {i}"), format!("{text} {i}"))).collect::<Vec<_>>();
    let of_application = |mut hash: BTreeMap<String, String>| {
        hash.retain(|name, _| name.starts_with("field "));
        hash
    };
    let [made, changed] = [stored("made"), stored("changed")];
    let presented = mint();
    stand.store.create(&new_session(presented, made.iter().cloned().collect()), &stand.terms).await.unwrap();
    assert_eq!(of_application(stand.hash(&presented)), made.iter().cloned().collect());
    let all = FieldChanges { set: changed.iter().cloned().collect(), ..FieldChanges::default() };
    stand.made(&presented, &change(all)).await;
    assert_eq!(of_application(stand.hash(&presented)), changed.iter().cloned().collect());
    let none = FieldChanges { remove: made.into_iter().map(|(name, _)| name).collect(), ..FieldChanges::default() };
    stand.made(&presented, &change(none)).await;
    assert_eq!(of_application(stand.hash(&presented)), BTreeMap::new());
}

#[tokio::test]
async fn a_revoked_session_leaves_no_key() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[("a", "1")]).await;
    stand.store.revoke(&Target::Session(presented.id)).await.unwrap();
    for change in [set("a", "1"), add("n", 1), touch(), rotate_to(&mint())] {
        stand.apply(&presented, &change).await;
        assert_eq!(stand.ask::<u64>("DBSIZE", NO_ARGUMENTS), 0);
    }
}

#[tokio::test]
async fn applications_with_prefixes_of_their_own_share_a_server() {
    let mut stand = Stand::new().await;
    let other = Redis::builder(stand.server.url()).prefix("session:app-a:").connect().await.unwrap();
    let presented = stand.session(&[("a", "1")]).await;
    assert_eq!(other.load(&presented, &stand.terms).await.unwrap(), Lookup::Gone);
    other.create(&new_session(presented, fields(&[("a", "2")])), &stand.terms).await.unwrap();
    let mut keys: Vec<String> = stand.ask("KEYS", "*");
    keys.sort();
    let id = presented.id.expose();
    let mut expected = [format!("session:app-a:{id}"), format!("session:{id}")];
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!(&stand.load(&presented).await.unwrap().record.fields["a"], "1");
}

#[tokio::test]
async fn a_read_takes_the_servers_time_for_now() {
    // it is reckoned from an answer that took some time to come
    const BEHIND: u64 = 1000;
    let mut stand = Stand::new().await;
    let old = stand.session(&[]).await;
    let new = with_new_secret(&old);
    stand.made(&old, &rotate_to(&new)).await;
    for change in [confirm(), touch(), set("a", "1"), Save::default().into()] {
        stand.made(&new, &change).await;
        let before = stand.time();
        let read = stand.load(&new).await.unwrap();
        let written = stand.made(&new, &change).await;
        let after = stand.time();
        for now in [read.now, written.now].map(millis) {
            assert!((before - BEHIND..=after).contains(&now), "{before} to {after}, not {now}");
        }
    }
}
