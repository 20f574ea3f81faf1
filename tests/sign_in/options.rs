//! The options of a sign-in: remembered for longer, labels, and when the user proved who they are.

use std::time::{Duration, SystemTime};

use axum::http::header::USER_AGENT;
use cloakroom::{Config, Error, Session, Sessions};

use super::app::{app, id_of, signed_in};
use super::framework::{Router, get};
use crate::support::{Browser, Place, on_each_store};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn remembering(sessions: &Sessions) -> Router {
    let remember =
        async |session: Session| session.sign_in("anna").idle_timeout(10 * DAY).absolute_lifetime(30 * DAY).await;
    let as_long = async |session: Session| session.sign_in("anna").idle_timeout(DAY).absolute_lifetime(DAY).await;
    let longer = async |session: Session| session.set_idle_timeout(20 * DAY);
    let too_long = async |session: Session| session.set_idle_timeout(31 * DAY);
    let briefly = async |session: Session| session.sign_in("anna").absolute_lifetime(Duration::from_secs(60)).await;
    app(sessions)
        .route("/remember", get(remember))
        .route("/as_long", get(as_long))
        .route("/longer", get(longer))
        .route("/too_long", get(too_long))
        .route("/briefly", get(briefly))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_remembered_session_outlives_the_configured_lifetimes_and_ends_at_its_own() {
    let place = Place::memory();
    let browser = Browser::new(remembering(&place.sessions()));
    let after = async |time: Duration| {
        place.clock.advance(time);
        browser.visit("/whoami").await.body
    };
    browser.visit("/remember").await;
    for _ in 0..3 {
        assert_eq!(after(9 * DAY).await, "anna");
    }
    assert_eq!(after(4 * DAY).await, "nobody", "31 days");

    browser.visit("/remember").await;
    assert_eq!(after(10 * DAY).await, "nobody", "10 days without a visit");
}

#[tokio::test]
async fn a_remembered_session_may_be_given_a_longer_idle_timeout_within_its_own_lifetime() {
    let place = Place::memory();
    let browser = Browser::new(remembering(&place.sessions()));
    browser.visit("/remember").await;
    let answer = browser.get("/too_long").await;
    assert_eq!(answer.status, 400);
    assert!(answer.error.unwrap().to_string().contains("must not exceed the absolute lifetime"));
    browser.visit("/longer").await;
    place.clock.advance(19 * DAY);
    assert_eq!(browser.visit("/whoami").await.body, "anna");

    // of any other session that would be too long
    let other = signed_in(browser.stranger(), "anna").await;
    assert_eq!(other.get("/longer").await.status, 400);
}

#[tokio::test]
async fn a_session_may_be_as_long_without_a_visit_as_it_may_live() {
    let place = Place::memory();
    let browser = Browser::new(remembering(&place.sessions()));
    browser.visit("/as_long").await;
    place.clock.advance(23 * HOUR);
    assert_eq!(browser.visit("/whoami").await.body, "anna");
    place.clock.advance(HOUR);
    assert_eq!(browser.visit("/whoami").await.body, "nobody");
}

#[tokio::test]
async fn a_short_absolute_lifetime_caps_the_configured_idle_timeout() {
    let place = Place::memory();
    let browser = Browser::new(remembering(&place.sessions()));
    browser.visit("/briefly").await;
    place.clock.advance(Duration::from_secs(59));
    assert_eq!(browser.visit("/whoami").await.body, "anna");
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.visit("/whoami").await.body, "nobody");
}

#[tokio::test]
async fn an_idle_timeout_set_beside_the_sign_in_counts_with_a_session_before_it_and_without() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let before = async |session: Session| {
            session.set_idle_timeout(Duration::from_secs(300))?;
            session.sign_in("anna").await
        };
        let after = async |session: Session| {
            session.sign_in("anna").await?;
            session.set_idle_timeout(Duration::from_secs(300))
        };
        let shown = async |session: Session| session.idle_timeout().unwrap().as_secs().to_string();
        let app = app(&sessions).route("/before", get(before)).route("/after", get(after)).route("/shown", get(shown));
        let browser = Browser::new(app.layer(sessions.layer()));
        for path in ["/before", "/after"] {
            for had_session in [true, false] {
                let browser = browser.stranger();
                if had_session {
                    browser.visit("/write/cart/full").await;
                }
                browser.visit(path).await;
                assert_eq!(browser.visit("/shown").await.body, "300", "{path}, {had_session}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn redis_cli_shows_the_own_lifetimes_and_an_expiry_that_fits_them() {
    let place = Place::redis().await;
    let browser = Browser::new(remembering(&place.sessions()));
    browser.visit("/remember").await;
    let key = format!("session:{}", id_of(&browser));
    let mut cli = place.server().client();
    let mut field = |name: &str| redis::cmd("HGET").arg(&key).arg(name).query::<u64>(&mut cli).unwrap();
    let (idle, expires_at, auth_time) = (field("session_ttl"), field("expires_at"), field("auth_time"));
    assert_eq!(idle, 10 * DAY.as_secs());
    assert_eq!(expires_at - auth_time, 30 * DAY.as_secs());
    let mut cli = place.server().client();
    let left: u64 = redis::cmd("TTL").arg(&key).query(&mut cli).unwrap();
    assert!((10 * DAY - HOUR..=10 * DAY).contains(&Duration::from_secs(left)), "{left}");
    let index: u64 = redis::cmd("TTL").arg("session:user:anna").query(&mut cli).unwrap();
    assert!(Duration::from_secs(index) > 30 * DAY, "the index outlives what it names: {index}");

    // another, ordinary session of the same user does not shorten the index's life
    signed_in(browser.stranger(), "anna").await;
    let index: u64 = redis::cmd("TTL").arg("session:user:anna").query(&mut cli).unwrap();
    assert!(Duration::from_secs(index) > 30 * DAY, "{index}");

    // a touch by a later visit keeps what was granted
    browser.visit("/write/cart/full").await;
    let left: u64 = redis::cmd("TTL").arg(&key).query(&mut cli).unwrap();
    assert!(Duration::from_secs(left) > 10 * DAY - HOUR, "{left}");
    browser.visit("/longer").await;
    let left: u64 = redis::cmd("TTL").arg(&key).query(&mut cli).unwrap();
    assert!(Duration::from_secs(left) > 20 * DAY - HOUR, "{left}");
}

#[tokio::test]
async fn a_lifetime_that_is_not_allowed_is_refused_before_anything_is_asked() {
    let second = Duration::from_secs(1);
    let bad: [(Option<Duration>, Option<Duration>, &str); 7] = [
        (Some(Duration::ZERO), None, "idle timeout must be a whole number of seconds from 1 to 999999999"),
        (Some(second / 2), None, "idle timeout must be a whole number of seconds"),
        (Some(Duration::MAX), None, "idle timeout must be a whole number of seconds"),
        (Some(13 * HOUR), None, "idle timeout must not exceed the absolute lifetime"),
        (Some(2 * HOUR), Some(HOUR), "idle timeout must not exceed the absolute lifetime"),
        (None, Some(Duration::ZERO), "absolute lifetime must be a whole number of seconds from 1 to 999999999"),
        (None, Some(Duration::from_secs(u64::MAX)), "absolute lifetime must be a whole number of seconds"),
    ];
    for (idle, absolute, why) in bad {
        let place = Place::memory();
        let sessions = place.sessions();
        let attempt = async move |session: Session| {
            let mut signing_in = session.sign_in("anna");
            if let Some(idle) = idle {
                signing_in = signing_in.idle_timeout(idle);
            }
            if let Some(absolute) = absolute {
                signing_in = signing_in.absolute_lifetime(absolute);
            }
            signing_in.await
        };
        let browser = Browser::new(app(&sessions).route("/attempt", get(attempt)).layer(sessions.layer()));
        let error = browser.get("/attempt").await.error.expect(why);
        assert!(error.is_invalid() && error.to_string().starts_with(why), "{error}");
        assert!(place.store.asked().is_empty());
        assert_eq!(browser.token(), None);
    }
}

/// What the list of devices says of the only one: label, address, how long ago the sign-in was.
fn with_details(sessions: &Sessions) -> Router {
    let details = async |session: Session| {
        let device = session.devices().await?.remove(0);
        let ago = device.last_seen_at.duration_since(device.signed_in_at).unwrap_or_default().as_secs();
        Ok::<_, Error>(format!("{} | {} | {ago}", device.label.unwrap_or_default(), device.ip.unwrap_or_default()))
    };
    let labelled = async |session: Session| {
        let yesterday = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        session.sign_in("anna").device("Anna's\r\nphone").ip("2001:db8::7").auth_time(yesterday).await
    };
    let long = async |session: Session| session.sign_in("anna").device("ä".repeat(100)).ip("9".repeat(100)).await;
    let empty = async |session: Session| session.sign_in("anna").device("").ip("\0").await;
    app(sessions)
        .route("/details", get(details))
        .route("/labelled", get(labelled))
        .route("/long", get(long))
        .route("/empty", get(empty))
        .layer(sessions.layer())
}

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0";

#[tokio::test]
async fn the_label_comes_from_the_user_agent_unless_the_application_has_a_better_one() {
    on_each_store(async |place| {
        let browser = Browser::new(with_details(&place.sessions())).saying(USER_AGENT, FIREFOX);
        signed_in(browser.clone(), "anna").await;
        assert_eq!(browser.visit("/details").await.body, "Firefox on Windows 10 |  | 0");

        browser.visit("/labelled").await;
        let details = browser.visit("/details").await.body;
        assert!(details.starts_with("Anna'sphone | 2001:db8::7 | "), "{details}");
        assert!(details.ends_with("| 0"), "the identity provider's time is no sign-in here: {details}");

        browser.visit("/long").await;
        assert_eq!(browser.visit("/details").await.body, format!("{} | {} | 0", "ä".repeat(32), "9".repeat(64)));

        browser.visit("/empty").await;
        assert_eq!(browser.visit("/details").await.body, " |  | 0", "an empty one is none");
    })
    .await;
}

#[tokio::test]
async fn odd_user_agents_make_no_label_and_no_trouble() {
    let place = Place::memory();
    let browser = Browser::new(with_details(&place.sessions()));
    signed_in(browser.clone(), "anna").await;
    assert_eq!(browser.visit("/details").await.body, " |  | 0");
    let long = "Mozilla/5.0 ".repeat(5000);
    for agent in ["", "x", long.as_str(), "\t\t", "Mozilla/5.0 \u{e4}"] {
        let browser = browser.stranger().saying(USER_AGENT, agent);
        signed_in(browser.clone(), "bert").await;
        let label = browser.visit("/details").await.body;
        assert!(label.len() < 80, "{label}");
        browser.visit("/sign_out").await;
    }
}

#[tokio::test]
async fn a_session_without_activity_is_still_bounded_by_the_configuration() {
    let place = Place::memory();
    let config = Config::builder().idle_timeout(HOUR).absolute_lifetime(4 * HOUR);
    let browser = signed_in(Browser::new(app(&place.sessions_with(config))), "anna").await;
    place.clock.advance(HOUR);
    assert_eq!(browser.visit("/whoami").await.body, "nobody");
}

#[tokio::test]
async fn an_identity_providers_old_time_lengthens_nothing_however_often_it_is_brought() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let by_provider = async |session: Session| {
            let proved = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            session.sign_in("anna").auth_time(proved).await?;
            let stored = session.stored();
            let field =
                |name: &str| stored.iter().find(|(other, _)| other == name).map(|(_, text)| text.parse::<u64>());
            let (from, to) = (field("signed_in_at").unwrap().unwrap(), field("expires_at").unwrap().unwrap());
            Ok::<_, Error>((to - from).to_string())
        };
        let browser = Browser::new(app(&sessions).route("/by_provider", get(by_provider)).layer(sessions.layer()));
        for _ in 0..4 {
            assert_eq!(browser.visit("/by_provider").await.body, "43200", "twelve hours, from the sign-in");
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_granted_a_short_life_stays_short_at_the_next_plain_sign_in() {
    let place = Place::memory();
    let browser = Browser::new(remembering(&place.sessions()));
    browser.visit("/briefly").await;
    for _ in 0..3 {
        place.clock.advance(Duration::from_secs(30));
        signed_in(browser.clone(), "anna").await;
    }
    place.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.visit("/whoami").await.body, "nobody", "a minute was granted, from each sign-in");
}

#[tokio::test]
async fn what_is_stored_is_shown_without_the_hashes_of_secrets() {
    let place = Place::memory();
    let sessions = place.sessions();
    let hashes = async |session: Session| {
        session.sign_in("anna").await?;
        let stored = session.stored().into_iter();
        let hashes: Vec<_> = stored.filter(|(name, _)| name.ends_with("secret_hash")).map(|(_, text)| text).collect();
        Ok::<_, Error>(hashes.join(" and "))
    };
    let browser = Browser::new(app(&sessions).route("/hashes", get(hashes)).layer(sessions.layer()));
    browser.visit("/hashes").await;
    let shown = browser.visit("/hashes").await.body;
    assert!(shown.contains(" and "), "{shown}");
    assert!(shown.split(" and ").all(|text| text.ends_with(" characters, not shown)")), "{shown}");
}
