//! How long the browser keeps the cookie, and that it is renewed while the visitor comes.

use std::time::Duration;

use cloakroom::{Config, ConfigBuilder, Session, Sessions};

use super::app::{app, ask_with, id_of, signed_in};
use super::framework::{Router, get};
use crate::support::{Answer, Browser, Place, on_each_store};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn long_lived() -> ConfigBuilder {
    Config::builder().idle_timeout(30 * DAY).absolute_lifetime(90 * DAY)
}

fn remembering(sessions: &Sessions) -> Router {
    let remember = async |session: Session| session.sign_in("anna").cookie_max_age(30 * DAY).await;
    let forget = async |session: Session| session.sign_in("bert").cookie_max_age(None).await;
    app(sessions).route("/remember", get(remember)).route("/forget", get(forget)).layer(sessions.layer())
}

/// How long the browser keeps the cookie that an answer sets: `None` where it sets none, zero for until it is closed.
fn age(answer: &Answer) -> Option<Duration> {
    let cookie = answer.set_cookie()?;
    let age = cookie.split("Max-Age=").nth(1).map_or("0", |age| age.split(';').next().unwrap());
    Some(Duration::from_secs(age.parse().unwrap()))
}

#[tokio::test]
async fn a_visitor_who_comes_now_and_then_keeps_the_cookie_as_long_as_the_session_lives() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions_with(long_lived().cookie_max_age(14 * DAY))));
    assert_eq!(age(&browser.get("/sign_in/anna").await), Some(14 * DAY));
    let mut kept_for = 14 * DAY;
    for day in 1..90 {
        place.clock.advance(DAY);
        kept_for -= DAY;
        let answer = browser.visit("/whoami").await;
        assert_eq!(answer.body, "anna", "day {day}");
        kept_for = age(&answer).unwrap_or(kept_for);
        assert!(kept_for >= 12 * DAY, "day {day}: {kept_for:?} are left");
    }
}

#[tokio::test]
async fn parallel_requests_of_which_one_renews_the_cookie_all_read_the_session() {
    on_each_store(async |place| {
        let browser =
            signed_in(Browser::new(app(&place.sessions_with(long_lived().cookie_max_age(10 * DAY)))), "anna").await;
        if place.is_redis() {
            // a day ago, as the record says
            let key = format!("session:{}", id_of(&browser));
            let mut cli = place.server().client();
            let at: u64 = redis::cmd("HGET").arg(&key).arg("rotated_at").query(&mut cli).unwrap();
            redis::cmd("HSET").arg(&key).arg("rotated_at").arg(at - DAY.as_secs()).exec(&mut cli).unwrap();
        } else {
            place.clock.advance(DAY);
        }
        let token = browser.token().unwrap();
        let answers = tokio::join!(
            ask_with(&browser, &token, "/whoami"),
            ask_with(&browser, &token, "/read/cart"),
            ask_with(&browser, &token, "/whoami"),
        );
        let answers = [answers.0, answers.1, answers.2];
        assert!(answers.iter().all(|answer| answer.status == 200));
        let renewed: Vec<_> = answers.iter().filter_map(Answer::token).collect();
        assert_eq!(renewed.len(), 1, "one of them rotates");
        for token in [&token, &renewed[0], &token] {
            assert_eq!(ask_with(&browser, token, "/whoami").await.body, "anna");
        }
    })
    .await;
}

#[tokio::test]
async fn each_sign_in_chooses_how_long_its_browser_keeps_the_cookie_and_a_rotation_keeps_to_that() {
    on_each_store(async |place| {
        let browser = Browser::new(remembering(&place.sessions_with(long_lived().cookie_max_age(DAY))));
        for (path, expected) in [("/remember", 30 * DAY), ("/forget", Duration::ZERO), ("/sign_in/carla", DAY)] {
            let browser = browser.stranger();
            assert_eq!(age(&browser.visit(path).await), Some(expected), "{path}");
            for again in ["/rotate", "/elevate"] {
                assert_eq!(age(&browser.visit(again).await), Some(expected), "{path}, {again}");
            }
        }
        // who proves again who they are keeps what they chose
        let anna = browser.stranger();
        anna.visit("/remember").await;
        assert_eq!(age(&anna.visit("/sign_in/anna").await), Some(30 * DAY));
        assert_eq!(age(&anna.visit("/forget").await), Some(Duration::ZERO), "another user has chosen otherwise");
    })
    .await;
}

#[tokio::test]
async fn a_cookie_for_the_browsers_session_is_never_renewed() {
    let place = Place::memory();
    let browser = Browser::new(remembering(&place.sessions_with(long_lived())));
    browser.visit("/forget").await;
    for _ in 0..20 {
        place.clock.advance(3 * DAY);
        assert_eq!(age(&browser.visit("/whoami").await), None);
    }
}

#[tokio::test]
async fn an_age_that_no_browser_keeps_is_refused() {
    let place = Place::memory();
    let sessions = place.sessions();
    let too_long = async |session: Session| session.sign_in("anna").cookie_max_age(401 * DAY).await;
    let browser = Browser::new(app(&sessions).route("/too_long", get(too_long)).layer(sessions.layer()));
    let error = browser.get("/too_long").await.error.unwrap();
    assert!(
        error.is_invalid() && error.to_string().contains("cookie_max_age must be from one second to 400 days"),
        "{error}"
    );
    assert!(place.store.asked().is_empty());
}
