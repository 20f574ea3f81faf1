//! Records that another program wrote, as the tutorials do: with plain tokens, times in ISO 8601, and its own habits.

use std::time::Duration;

use cloakroom::conformance::{mint, mint_plain, new_session};
use cloakroom::store::{Loaded, Outcome, Store};
use cloakroom::{
    Config, TokenFormat,
    store::{Credentials, Refusal},
};

use crate::{Stand, add, fields, iso, key, millis, remove, set, touch, visit};

const HOUR: u64 = 60 * 60 * 1000;

impl Stand {
    /// A session of another program: made and last used this many milliseconds ago, and kept for half an hour.
    fn foreign(&mut self, made_ago: u64, used_ago: u64) -> Credentials {
        let presented = mint_plain();
        let now = self.time();
        let (created_at, last_accessed_at) = (iso(now - made_ago), iso(now - used_ago));
        let stored = [
            ("username", "andrew"),
            ("page_views", "3"),
            ("created_at", &created_at),
            ("last_accessed_at", &last_accessed_at),
            ("session_ttl", "1800"),
        ];
        self.write(&presented, &stored, 1800 - used_ago / 1000);
        presented
    }
}

#[tokio::test]
async fn a_session_of_another_program_is_read_incremented_and_extended() {
    let mut stand = Stand::new().await;
    let presented = stand.foreign(HOUR, 0);
    let read = stand.load(&presented).await.expect("it is a session").record;
    assert_eq!(read.fields, fields(&[("page_views", "3"), ("username", "andrew")]));

    let before = stand.time();
    stand.made(&presented, &visit()).await;
    stand.made(&presented, &set("theme", "dark")).await;
    let after = stand.time();

    // and this is what the other program reads
    let hash = stand.hash(&presented);
    let names: Vec<_> = hash.keys().collect();
    assert_eq!(names, ["created_at", "last_accessed_at", "page_views", "session_ttl", "theme", "username"]);
    assert_eq!((hash["username"].as_str(), hash["page_views"].as_str()), ("andrew", "4"));
    assert_eq!((hash["theme"].as_str(), hash["session_ttl"].as_str()), ("dark", "1800"));
    let accessed: jiff::Timestamp = hash["last_accessed_at"].parse().expect("ISO 8601");
    assert!((before..=after).contains(&(accessed.as_millisecond() as u64)));
    let expiry = stand.expiry(&presented) as u64;
    assert_eq!(expiry, accessed.as_millisecond() as u64 + 1_800_000);
    // the other program goes on counting, and we read the new count
    let _: i64 = stand.ask("HINCRBY", (key(&presented), "page_views", 1));
    assert_eq!(&stand.load(&presented).await.unwrap().record.fields["page_views"], "5");
}

#[tokio::test]
async fn a_field_of_another_program_may_have_the_name_of_one_of_ours() {
    let mut stand = Stand::new().await;
    let presented = stand.foreign(HOUR, 0);
    for name in ["ended", "secret_hash"] {
        let _: i64 = stand.ask("HSET", (key(&presented), name, "no"));
        let read = stand.load(&presented).await.expect("it is a session").record;
        assert_eq!(read.fields.get(name), Some("no"));
    }
}

#[tokio::test]
async fn a_session_that_another_program_keeps_alive_ends_at_its_absolute_deadline() {
    let mut stand = Stand::new().await;
    for used_ago in [0, 60_000, 29 * 60_000] {
        let too_old = stand.foreign(13 * HOUR, used_ago);
        assert_eq!(stand.load(&too_old).await, None);
        assert_eq!(stand.apply(&too_old, &touch()).await, Outcome::Refused(Refusal::Gone));
        assert!(!stand.ask::<bool>("EXISTS", key(&too_old)));
    }
    for change in [touch(), set("a", "1")] {
        let nearly = stand.foreign(11 * HOUR + HOUR * 3 / 4, 0);
        assert!(stand.load(&nearly).await.is_some());
        let record = stand.made(&nearly, &change).await.record;
        assert_eq!(record.ends_at(), record.expires_at);
        assert_eq!(stand.expiry(&nearly) as u64, millis(record.expires_at));
    }
}

#[tokio::test]
async fn a_session_of_another_program_without_an_expiry_is_anonymous_and_stays_as_it_is() {
    let mut stand = Stand::new().await;
    let foreign = stand.foreign(HOUR, 0);
    let old = stand.foreign(13 * HOUR, 0);
    for presented in [foreign, old] {
        assert!(stand.ask::<bool>("PERSIST", key(&presented)));
        stand.assert_anonymous(&presented).await;
        assert_eq!(stand.ask::<i64>("PTTL", key(&presented)), -1);
    }
}

#[tokio::test]
async fn a_session_whose_life_another_program_has_shortened_has_what_its_key_has_left() {
    let mut stand = Stand::new().await;
    let foreign = stand.foreign(20, 20);
    assert!(stand.ask::<bool>("EXPIRE", (key(&foreign), 30)));
    let loaded = stand.load(&foreign).await.expect("it lives");
    let left = loaded.record.ends_at().duration_since(loaded.now).unwrap();
    assert!(left <= Duration::from_secs(30), "{left:?}");

    let touched = stand.store.apply_to(&loaded, &foreign, &touch(), &stand.terms).await.unwrap();
    assert!(matches!(touched, Outcome::Done { .. }), "{touched:?}");
    assert!(stand.ask::<i64>("TTL", key(&foreign)) > 30, "its own idle timeout counts again");
}

#[tokio::test]
async fn a_session_of_ours_whose_expiry_somebody_took_away_ends_in_time_and_its_next_change_sets_it_again() {
    let mut stand = Stand::new().await;
    for is_planned_on_what_was_loaded in [true, false] {
        let presented = stand.session(&[("username", "andrew")]).await;
        assert!(stand.ask::<bool>("PERSIST", key(&presented)));
        let loaded = stand.load(&presented).await.expect("its fields say when it ends");
        let changed = match is_planned_on_what_was_loaded {
            true => stand.store.apply_to(&loaded, &presented, &touch(), &stand.terms).await.unwrap(),
            false => stand.apply(&presented, &touch()).await,
        };
        let Outcome::Done { loaded, .. } = changed else { panic!("{changed:?}") };
        assert_eq!(stand.expiry(&presented) as u64, millis(loaded.record.ends_at()));
    }

    let ended = stand.session(&[]).await;
    assert!(stand.ask::<bool>("PERSIST", key(&ended)));
    let long_ago = iso(stand.time() - HOUR);
    let _: i64 = stand.ask("HSET", (key(&ended), "last_accessed_at", long_ago));
    assert_eq!(stand.load(&ended).await, None);
    assert_eq!(stand.apply(&ended, &touch()).await, Outcome::Refused(Refusal::Gone));
}

#[tokio::test]
async fn a_session_ttl_that_is_no_number_counts_as_the_configured_one() {
    let mut stand = Stand::new().await;
    let odd = ["abc", "-5", "1e9", "999999999999", "0", "", " 60", "60.0", "0x10", "+60", "nan", "9999999999"];
    for text in odd {
        for mut presented in [mint_plain(), stand.session(&[]).await] {
            if presented.secret_hash.is_none() {
                presented = stand.foreign(HOUR, 0);
            }
            let _: i64 = stand.ask("HSET", (key(&presented), "session_ttl", text));
            let read = stand.load(&presented).await.expect("it is a session").record;
            assert_eq!(read.idle_timeout, stand.terms.idle_timeout, "{text:?}");
            let record = stand.made(&presented, &touch()).await.record;
            assert_eq!(stand.hash(&presented)["session_ttl"], "1800");
            assert_eq!(stand.expiry(&presented) as u64, millis(record.ends_at()));
        }
    }
}

#[tokio::test]
async fn a_session_ttl_of_one_second_is_one() {
    let mut stand = Stand::new().await;
    for presented in [stand.foreign(HOUR, 0), stand.session(&[]).await] {
        let _: i64 = stand.ask("HSET", (key(&presented), "session_ttl", "1"));
        assert_eq!(stand.made(&presented, &touch()).await.record.idle_timeout, Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_session_ttl_beyond_the_absolute_lifetime_ends_with_it_and_is_never_written_back_smaller() {
    let mut stand = Stand::new().await;
    let presented = stand.foreign(HOUR, 0);
    let _: i64 = stand.ask("HSET", (key(&presented), "session_ttl", "999999999"));
    let record = stand.load(&presented).await.unwrap().record;
    assert_eq!(record.ends_at(), record.expires_at);
    assert_eq!(record.idle_timeout, Duration::from_secs(999_999_999), "what an operator is shown is what is there");
    let record = stand.made(&presented, &touch()).await.record;
    assert_eq!(stand.hash(&presented)["session_ttl"], "999999999", "the other program wrote it, and goes by it");
    assert_eq!(stand.expiry(&presented) as u64, millis(record.expires_at));

    // in a session of ours, nobody has written this field on purpose
    let ours = stand.session(&[]).await;
    let _: i64 = stand.ask("HSET", (key(&ours), "session_ttl", "999999999"));
    assert_eq!(stand.load(&ours).await.unwrap().record.idle_timeout, stand.terms.absolute_lifetime);
}

#[tokio::test]
async fn an_absent_deadline_is_stamped_by_the_first_write() {
    let mut stand = Stand::new().await;
    for odd in [None, Some("abc"), Some(""), Some("-1"), Some("123456789012")] {
        let presented = stand.session(&[]).await;
        match odd {
            None => stand.ask::<i64>("HDEL", (key(&presented), "expires_at")),
            Some(text) => stand.ask::<i64>("HSET", (key(&presented), "expires_at", text)),
        };
        let read = stand.load(&presented).await.expect("it is a session").record;
        let deadline = millis(read.created_at + stand.terms.absolute_lifetime) / 1000;
        assert_eq!(millis(read.expires_at), deadline * 1000);
        stand.made(&presented, &set("a", "1")).await;
        assert_eq!(stand.hash(&presented)["expires_at"], deadline.to_string());
    }
}

#[tokio::test]
async fn what_is_no_text_leaves_room_for_as_much_text_as_the_limits_allow() {
    let mut stand = Stand::new().await;
    (stand.terms.max_fields, stand.terms.max_bytes) = (3, 60);
    let foreign = stand.foreign(HOUR, 0);
    let ours = stand.session(&[("page_views", "3"), ("username", "andrew")]).await;
    for presented in [foreign, ours] {
        let pickles = (key(&presented), b"\xff1".as_slice(), vec![0xff_u8; 1000], b"\xff2".as_slice(), "2");
        let _: i64 = stand.ask("HSET", pickles);
        stand.made(&presented, &set("theme", "dark")).await;
        stand.made(&presented, &set("theme", "a dark one")).await;
        stand.made(&presented, &add("page_views", 7)).await;
        for one_too_much in [set("fourth", "1"), set("theme", &"x".repeat(30))] {
            let answer = stand.apply(&presented, &one_too_much).await;
            assert!(matches!(answer, Outcome::Refused(Refusal::Invalid { .. })), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_value_that_is_no_text_is_left_out_and_left_alone() {
    const PICKLE: &[u8] = b"\x80\x04\x95\xff\xfe";
    let mut stand = Stand::new().await;
    let presented = stand.foreign(HOUR, 0);
    let _: i64 = stand.ask("HSET", (key(&presented), "pickle", PICKLE));
    let _: i64 = stand.ask("HSET", (key(&presented), b"\xffname".as_slice(), "1"));
    let without = fields(&[("page_views", "3"), ("username", "andrew")]);
    assert_eq!(stand.load(&presented).await.expect("it is a session").record.fields, without);
    let made = stand.made(&presented, &add("page_views", 1)).await.record;
    assert_eq!(made.fields, fields(&[("page_views", "4"), ("username", "andrew")]));
    assert_eq!(stand.ask::<Vec<u8>>("HGET", (key(&presented), "pickle")), PICKLE);

    for reserved in ["created_at", "secret_hash"] {
        let presented = stand.session(&[]).await;
        let _: i64 = stand.ask("HSET", (key(&presented), reserved, PICKLE));
        assert_eq!(stand.load(&presented).await, None);
    }
}

#[tokio::test]
async fn another_type_at_a_sessions_key_is_anonymous_and_stays() {
    let mut stand = Stand::new().await;
    let commands = [("RPUSH", "x"), ("SET", "x"), ("SADD", "x"), ("SET", "{\"created_at\":\"2026-04-02T12:34:56Z\"}")];
    for (command, value) in commands {
        for presented in [mint(), mint_plain()] {
            let _: redis::Value = stand.ask(command, (key(&presented), value));
            let _: i64 = stand.ask("EXPIRE", (key(&presented), 1800));
            stand.assert_anonymous(&presented).await;
            let before = stand.dump(&presented);
            let made = stand.store.create(&new_session(presented, fields(&[("a", "1")])), &stand.terms).await;
            assert!(made.is_err(), "{made:?}");
            assert_eq!(stand.dump(&presented), before);
        }
    }
}

#[tokio::test]
async fn what_another_program_makes_of_a_key_after_its_session_was_loaded_is_no_session_and_stays() {
    let mut stand = Stand::new().await;
    let ours = stand.session(&[("username", "andrew")]).await;
    let (foreign, endless) = (stand.foreign(HOUR, 0), stand.foreign(HOUR, 0));
    for presented in [ours, foreign, endless] {
        let loaded = stand.load(&presented).await.expect("it is a session");
        if presented == endless {
            assert!(stand.ask::<bool>("PERSIST", key(&presented)));
        } else {
            let _: () = stand.ask("SET", (key(&presented), "x", "EX", 1800));
        }
        let before = stand.dump(&presented);
        for change in [set("a", "1"), add("n", 1), touch(), remove("username")] {
            let answer = stand.store.apply_to(&loaded, &presented, &change, &stand.terms).await.unwrap();
            assert_eq!(answer, Outcome::Refused(Refusal::Gone), "{change:?}");
        }
        assert_eq!(stand.dump(&presented), before);
    }
}

#[tokio::test]
async fn a_session_that_has_ended_since_it_was_loaded_is_not_written_to_though_another_program_keeps_its_key() {
    let mut stand = Stand::new().await;
    let (presented, loaded) = loop {
        // its absolute lifetime has a moment left
        let presented = stand.foreign(12 * HOUR - 300, 0);
        if let Some(loaded) = stand.load(&presented).await {
            break (presented, loaded);
        }
    };
    let deadline = loaded.record.expires_at;
    while stand.time() < millis(deadline) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // as if the request had come in the last millisecond
    let loaded = Loaded { now: deadline - Duration::from_millis(1), ..loaded };
    let before = stand.hash(&presented);
    let answer = stand.store.apply_to(&loaded, &presented, &visit(), &stand.terms).await.unwrap();
    assert_eq!(answer, Outcome::Refused(Refusal::Gone));
    let after = stand.hash(&presented);
    assert!(after.is_empty() || after == before, "{after:?}");
}

#[tokio::test]
async fn a_hash_without_a_readable_created_at_is_anonymous_and_stays() {
    let mut stand = Stand::new().await;
    let unreadable = [
        "",
        "yesterday",
        "1775133296",
        "2026-04-02",
        "2026-13-02T12:34:56Z",
        "2026-00-10T12:34:56Z",
        "2026-02-29T12:34:56Z",
        "2026-04-31T12:34:56Z",
        "2026-04-02T24:34:56Z",
        "2026-04-02T12:60:56Z",
        "2026-04-02T12:34:61Z",
        "2026-04-02T12:34:56.Z",
        "2026-04-02T12:34:56+99:00",
        "2026-04-02T12:34:56 UTC",
        "1950-01-01T00:00:00Z",
    ];
    for text in unreadable {
        let presented = stand.foreign(HOUR, 0);
        let _: i64 = stand.ask("HSET", (key(&presented), "created_at", text));
        stand.assert_anonymous(&presented).await;
    }
    let presented = stand.foreign(HOUR, 0);
    let _: i64 = stand.ask("HDEL", (key(&presented), "created_at"));
    stand.assert_anonymous(&presented).await;
}

#[tokio::test]
async fn a_record_without_a_secret_is_anonymous_to_a_token_with_one() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[("username", "andrew")]).await;
    let _: i64 = stand.ask("HDEL", (key(&presented), "secret_hash"));
    stand.assert_anonymous(&presented).await;
}

#[tokio::test]
async fn a_session_that_another_program_slides_beyond_the_absolute_lifetime_lives_where_there_is_none() {
    let mut stand = Stand::new().await;
    let plain = || Config::builder().token_format(TokenFormat::Plain).idle_timeout(Duration::from_secs(1800));
    let (bounded, endless) = (plain().build().unwrap(), plain().no_absolute_lifetime().build().unwrap());
    // made two days ago, and used by the other program all the time
    let presented = stand.foreign(48 * HOUR, 0);
    stand.terms = *endless.terms();
    for _ in 0..2 {
        assert!(stand.load(&presented).await.is_some());
        let record = stand.made(&presented, &touch()).await.record;
        assert_eq!(stand.expiry(&presented) as u64, millis(record.last_accessed_at + record.idle_timeout));
    }
    stand.terms = *bounded.terms();
    assert!(stand.load(&presented).await.is_none(), "twelve hours after it was made it has ended");
}

#[test]
fn a_session_with_a_secret_has_an_absolute_lifetime() {
    let error = Config::builder().no_absolute_lifetime().build().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("absolute_lifetime is required"), "{error}");
    Config::builder().no_absolute_lifetime().absolute_lifetime(Duration::from_secs(3600)).build().unwrap();
}
