//! Where a user is signed in, and signing out there.

use std::time::Duration;

use axum::http::header::USER_AGENT;
use cloakroom::{Config, Error, Page, Session, SessionId, Sessions, UserId};

use super::app::{app, ask_with, id_of, pass, signed_in};
use super::framework::{Json, Path, Router, State, get};
use crate::support::{Browser, Fault, Place, on_each_store};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/17.5 Mobile/15E148 Safari/604.1";

fn anna() -> UserId {
    "anna".try_into().unwrap()
}

async fn ids(sessions: &Sessions, page: Page) -> Vec<String> {
    sessions.devices(&anna(), page).await.unwrap().iter().map(|device| device.id.to_string()).collect()
}

/// So many browsers of one user, in the order of sign-in.
async fn browsers(app: Router, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        browsers.push(signed_in(Browser::new(app.clone()), "anna").await);
    }
    browsers
}

async fn who(browsers: &[Browser]) -> Vec<String> {
    let mut who = Vec::new();
    for browser in browsers {
        who.push(browser.visit("/whoami").await.body);
    }
    who
}

#[tokio::test]
async fn the_list_shows_what_each_device_is_called_and_which_one_is_this() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let shown = async |session: Session| {
            let shown = session.devices().await?.into_iter().map(|device| {
                assert!(device.created_at <= device.signed_in_at + Duration::from_secs(1));
                assert!(device.last_seen_at < device.ends_at);
                assert_eq!(device.ends_at.duration_since(device.last_seen_at).unwrap(), Duration::from_secs(1800));
                (device.label, device.current)
            });
            Ok::<_, Error>(Json(shown.collect::<Vec<_>>()))
        };
        let app = app(&sessions).route("/shown", get(shown)).layer(sessions.layer());
        let plain = signed_in(Browser::new(app), "anna").await;
        let phone = signed_in(plain.stranger().saying(USER_AGENT, SAFARI), "anna").await;
        let desk = signed_in(plain.stranger().saying(USER_AGENT, FIREFOX), "anna").await;
        signed_in(plain.stranger(), "bert").await;

        let expected = r#"[["Firefox on Linux",false],["Safari on iPhone",true],[null,false]]"#;
        assert_eq!(phone.visit("/shown").await.body, expected, "the latest sign-in first");
        let [plain_id, phone_id, desk_id] = [&plain, &phone, &desk].map(id_of);
        assert_eq!(plain.visit("/devices").await.body, format!("{desk_id} {phone_id} [{plain_id}]"));
        let listed = plain.visit("/devices_of/anna").await.body;
        assert_eq!(listed, format!("{desk_id} {phone_id} {plain_id}"), "the application has no current one");
        assert_eq!(plain.stranger().visit("/devices").await.body, "", "nobody is signed in nowhere");
    })
    .await;
}

#[tokio::test]
async fn last_seen_moves_with_use() {
    let place = Place::memory();
    let sessions = place.sessions();
    let browsers = browsers(app(&sessions), 1).await;
    let seen = async || sessions.devices(&anna(), Page::default()).await.unwrap()[0].last_seen_at;
    let before = seen().await;
    place.clock.advance(Duration::from_secs(600));
    browsers[0].visit("/whoami").await;
    assert_eq!(seen().await.duration_since(before).unwrap(), Duration::from_secs(600));
}

#[tokio::test]
async fn one_device_is_signed_out_from_another_and_its_browser_stays_as_it_is() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions()), 2).await;
        let other = id_of(&browsers[0]);
        let answer = browsers[1].visit(&format!("/sign_out_device/{other}")).await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("true", None));
        assert_eq!(who(&browsers).await, ["nobody", "anna"]);
        assert_eq!(browsers[1].visit(&format!("/sign_out_device/{other}")).await.body, "false", "it had ended");
        assert_eq!(browsers[1].visit("/devices").await.body, format!("[{}]", id_of(&browsers[1])));
        assert_eq!(browsers[0].visit("/ended").await.body, "None", "it was signed out, not evicted");
    })
    .await;
}

#[tokio::test]
async fn a_strangers_session_answers_as_one_that_does_not_exist() {
    on_each_store(async |place| {
        let app = app(&place.sessions());
        let victim = signed_in(Browser::new(app.clone()), "anna").await;
        let anonymous = Browser::new(app.clone());
        anonymous.visit("/write/cart/full").await;
        let attacker = signed_in(Browser::new(app), "mallory").await;
        for id in [id_of(&victim), id_of(&anonymous), "A".repeat(22), "A".repeat(43)] {
            let answer = attacker.visit(&format!("/sign_out_device/{id}")).await;
            assert_eq!((answer.body.as_str(), answer.set_cookie()), ("false", None), "{id}");
        }
        for odd in ["*", "x", "..", "user%3Amallory"] {
            assert_eq!(attacker.get(&format!("/sign_out_device/{odd}")).await.status, 400);
        }
        assert_eq!(victim.visit("/whoami").await.body, "anna");
        assert_eq!(anonymous.visit("/read/cart").await.body, "full");
    })
    .await;
}

#[tokio::test]
async fn signing_out_the_current_device_by_its_id_is_a_sign_out() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions()), 2).await;
        let answer = browsers[0].visit(&format!("/sign_out_device/{}", id_of(&browsers[0]))).await;
        assert_eq!(answer.body, "true");
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"));
        assert_eq!(who(&browsers).await, ["nobody", "anna"]);
    })
    .await;
}

#[tokio::test]
async fn signing_out_the_current_device_that_has_just_ended_says_so() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let late = async |session: Session, State(sessions): State<Sessions>| {
            let id = session.id().unwrap();
            assert!(sessions.revoke(&id).await?);
            session.sign_out_device(&id).await.map(|ended| ended.to_string())
        };
        let late = Router::new().route("/late", get(late)).with_state(sessions.clone());
        let browsers = browsers(app(&sessions).merge(late).layer(sessions.layer()), 1).await;
        let answer = browsers[0].visit("/late").await;
        assert_eq!(answer.body, "false");
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"), "its session is gone for good");
    })
    .await;
}

#[tokio::test]
async fn the_others_are_signed_out_and_counted_and_this_one_stays() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions()), 4).await;
        let bert = signed_in(browsers[0].stranger(), "bert").await;
        browsers[3].visit("/sign_out").await;
        let answer = browsers[1].visit("/sign_out_others").await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("2", None), "one had signed out before");
        assert_eq!(who(&browsers).await, ["nobody", "anna", "nobody", "nobody"]);
        assert_eq!(browsers[1].visit("/sign_out_others").await.body, "0");
        assert_eq!(browsers[1].visit("/devices").await.body, format!("[{}]", id_of(&browsers[1])));
        assert_eq!(bert.visit("/whoami").await.body, "bert");
    })
    .await;
}

#[tokio::test]
async fn signing_out_everywhere_ends_this_session_too_and_removes_the_cookie() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions()), 3).await;
        let bert = signed_in(browsers[0].stranger(), "bert").await;
        let answer = browsers[1].visit("/sign_out_everywhere").await;
        assert_eq!(answer.body, "3");
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"));
        assert_eq!(who(&browsers).await, ["nobody", "nobody", "nobody"]);
        assert_eq!(bert.visit("/whoami").await.body, "bert");
        let again = browsers[1].get("/sign_out_everywhere").await;
        assert_eq!((again.status.as_u16(), again.error.unwrap().is_signed_out()), (401, true));
        signed_in(browsers[1].clone(), "anna").await;
        assert_eq!(browsers[1].visit("/devices").await.body, format!("[{}]", id_of(&browsers[1])));
    })
    .await;
}

#[tokio::test]
async fn a_visitor_who_is_not_signed_in_signs_nobody_out() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        let id = id_of(&signed_in(browser.stranger(), "anna").await);
        let anonymous = browser.stranger();
        anonymous.visit("/write/cart/full").await;
        for browser in [browser, anonymous] {
            let by_id = format!("/sign_out_device/{id}");
            for path in [by_id.as_str(), "/sign_out_others", "/sign_out_everywhere"] {
                let answer = browser.get(path).await;
                assert_eq!((answer.status.as_u16(), answer.set_cookie()), (401, None));
                assert!(answer.error.unwrap().is_signed_out());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_application_signs_anybody_out_and_hears_how_many_there_were() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browsers = browsers(app(&sessions), 3).await;
        let first = SessionId::parse(&id_of(&browsers[0])).unwrap();
        assert!(sessions.revoke(&first).await.unwrap());
        assert!(!sessions.revoke(&first).await.unwrap());
        assert_eq!(sessions.revoke_user(&anna()).await.unwrap(), 2);
        assert_eq!(sessions.revoke_user(&anna()).await.unwrap(), 0);
        assert_eq!(sessions.revoke_user("nobody ever").await.unwrap(), 0);
        let answer = browsers[1].visit("/whoami").await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("nobody", None), "no cookie was asked for");
        assert_eq!(ids(&sessions, Page::default()).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browsers = browsers(app(&sessions), 5).await;
        let mut all: Vec<_> = browsers.iter().map(id_of).collect();
        all.reverse();
        for (offset, limit, expected) in
            [(0, 2, 0..2), (2, 2, 2..4), (4, 2, 4..5), (5, 2, 5..5), (0, 0, 0..0), (0, 1000, 0..5), (1000, 1000, 5..5)]
        {
            assert_eq!(ids(&sessions, Page { offset, limit }).await, all[expected], "{offset} {limit}");
        }
        assert_eq!(ids(&sessions, Page { offset: 1, limit: usize::MAX >> 1 }).await, all[1..]);
    })
    .await;
}

#[tokio::test]
async fn sessions_that_ended_by_themselves_are_in_no_list_and_no_count() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let brief = async |session: Session| session.sign_in("anna").idle_timeout(Duration::from_secs(1)).await;
        let app = app(&sessions).route("/brief", get(brief)).layer(sessions.layer());
        let browsers = browsers(app, 2).await;
        for _ in 0..2 {
            browsers[0].stranger().visit("/brief").await;
        }
        pass(&place, Duration::from_millis(1100)).await;
        let listed = browsers[0].visit("/devices").await.body;
        assert_eq!(listed, format!("{} [{}]", id_of(&browsers[1]), id_of(&browsers[0])));
        if place.is_redis() {
            let index: u64 = redis::cmd("ZCARD").arg("session:user:anna").query(&mut place.server().client()).unwrap();
            assert_eq!(index, 2, "looking has pruned it");
        }
        browsers[1].stranger().visit("/brief").await;
        pass(&place, Duration::from_millis(1100)).await;
        assert_eq!(browsers[0].visit("/sign_out_everywhere").await.body, "2");
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_that_could_not_be_done_is_a_503_and_changes_no_cookie() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browsers = browsers(app(&sessions), 2).await;
        let (token, other) = (browsers[0].token(), id_of(&browsers[1]));
        let (by_id, current) =
            (format!("/sign_out_device/{other}"), format!("/sign_out_device/{}", id_of(&browsers[0])));
        for path in [by_id.as_str(), &current, "/sign_out_others", "/sign_out_everywhere"] {
            place.store.fault("revoke", Fault::Away);
            let answer = browsers[0].get(path).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie()), (503, None), "{path}");
            assert!(answer.error.unwrap().is_store());
            assert!(sessions.revoke_user(&anna()).await.unwrap_err().is_store());
            place.store.heal();
        }
        place.store.fault("list", Fault::Away);
        for path in ["/devices", "/devices_of/anna"] {
            assert_eq!(browsers[0].get(path).await.status, 503);
        }
        place.store.heal();
        assert_eq!(browsers[0].token(), token);
        assert_eq!(who(&browsers).await, ["anna", "anna"], "nobody was told otherwise");
    })
    .await;
}

#[tokio::test]
async fn an_everywhere_that_redis_refuses_half_way_is_an_error_and_ends_what_it_can() {
    let place = Place::redis().await;
    let browsers = browsers(app(&place.sessions()), 3).await;
    let mut cli = place.server().client();
    // an id whose record cannot be ended, because it is on its way to another server of a cluster, say: here, no hash
    let key = format!("session:{}", id_of(&browsers[1]));
    redis::cmd("ACL").arg(["SETUSER", "default", "resetkeys", "~session:user:*"].as_slice()).exec(&mut cli).unwrap();
    for id in [id_of(&browsers[0]), id_of(&browsers[2])] {
        redis::cmd("ACL").arg(["SETUSER", "default", &format!("~session:{id}")].as_slice()).exec(&mut cli).unwrap();
    }
    let answer = browsers[0].get("/sign_out_everywhere").await;
    assert_eq!((answer.status.as_u16(), answer.set_cookie()), (503, None));
    redis::cmd("ACL").arg(["SETUSER", "default", "allkeys"].as_slice()).exec(&mut cli).unwrap();
    let left: bool = redis::cmd("EXISTS").arg(&key).query(&mut cli).unwrap();
    assert!(left);
    assert_eq!(who(&browsers).await, ["nobody", "anna", "nobody"]);
    assert_eq!(browsers[1].visit("/devices").await.body, format!("[{}]", id_of(&browsers[1])));
    assert_eq!(browsers[1].visit("/sign_out_everywhere").await.body, "1", "it can be finished");
}

#[tokio::test]
async fn a_sign_in_after_everywhere_survives_it_and_a_held_secret_may_ask_for_it() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions()), 2).await;
        let held = browsers[0].token().unwrap();
        browsers[0].visit("/rotate").await;
        let answer = ask_with(&browsers[0], &held, "/sign_out_everywhere").await;
        assert_eq!(answer.body, "2");
        signed_in(browsers[1].clone(), "anna").await;
        assert_eq!(who(&browsers).await, ["nobody", "anna"]);
    })
    .await;
}

#[tokio::test]
async fn an_ended_device_does_not_come_back_by_a_late_change() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().touch_interval(Duration::ZERO));
        let slow = async |session: Session, Path(verb): Path<String>, State(sessions): State<Sessions>| {
            sessions.revoke_user(&session.user().unwrap()).await?;
            match verb.as_str() {
                "set" => session.set(super::app::field("late"), "x"),
                "count" => super::app::count(&session).await.map(drop),
                "rotate" => session.rotate().await,
                _ => Ok(()),
            }
        };
        let slow = Router::new().route("/slow/{verb}", get(slow)).with_state(sessions.clone());
        let app = app(&sessions).merge(slow).layer(sessions.layer());
        for (verb, status) in [("set", 401), ("count", 401), ("rotate", 401), ("touch", 200)] {
            let browser = signed_in(Browser::new(app.clone()), "anna").await;
            let answer = browser.get(&format!("/slow/{verb}")).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie()), (status, None), "{verb}");
            assert_eq!(browser.visit("/whoami").await.body, "nobody");
            assert_eq!(browser.visit("/devices_of/anna").await.body, "");
        }
    })
    .await;
}
