//! More sessions than a user may have.

use std::time::Duration;

use axum::http::StatusCode;
use cloakroom::{Config, ConfigBuilder, Error, OnLimit, Page, Session, SessionId, Sessions, UserId};

use super::app::{app, ask_with, field, id_of, listed, signed_in};
use super::framework::{IntoResponse, Path, Response, Router, State, get};
use super::told::Told;
use crate::support::{Browser, Place, on_each_store};

fn at_most(sessions: usize) -> ConfigBuilder {
    Config::builder().max_sessions_per_user(sessions)
}

/// So many browsers of one user, in the order of sign-in.
async fn browsers(app: Router, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        browsers.push(signed_in(Browser::new(app.clone()), "anna").await);
    }
    browsers
}

#[tokio::test]
async fn the_oldest_sign_in_ends_and_its_browser_learns_why() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions_with(at_most(2))), 3).await;
        let evicted = &browsers[0];
        let answer = evicted.visit("/ended").await;
        assert_eq!(answer.body, "Some(SignedInElsewhere)");
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(evicted.visit("/whoami").await.body, "nobody");
        assert_eq!(evicted.get("/account").await.status, 401);
        assert_eq!(evicted.visit("/ended").await.body, "Some(SignedInElsewhere)", "it may be told several times");
        assert_eq!(
            browsers[2].visit("/devices").await.body,
            format!("[{}] {}", id_of(&browsers[2]), id_of(&browsers[1]))
        );

        // who only knows the id learns nothing
        let forged = format!("{}.{}", id_of(evicted), "A".repeat(43));
        assert_eq!(ask_with(evicted, &forged, "/ended").await.body, "None");

        let signing_out = ask_with(evicted, &evicted.token().unwrap(), "/sign_out").await;
        assert_eq!(signing_out.status, 200, "who wants to be signed out and is, is told so");
        assert!(signing_out.set_cookie().unwrap().contains("Max-Age=0"));

        // and back again: now the next one goes
        signed_in(evicted.clone(), "anna").await;
        assert_eq!(evicted.visit("/ended").await.body, "None");
        assert_eq!(browsers[1].visit("/ended").await.body, "Some(SignedInElsewhere)");
        assert_eq!(browsers[2].visit("/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn the_reason_is_told_for_five_minutes() {
    let place = Place::memory();
    let browsers = browsers(app(&place.sessions_with(at_most(1))), 2).await;
    place.clock.advance(Duration::from_secs(299));
    assert_eq!(browsers[0].visit("/ended").await.body, "Some(SignedInElsewhere)");
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(browsers[0].visit("/ended").await.body, "None");
}

#[tokio::test]
async fn redis_cli_shows_a_marker_with_an_expiry_where_the_evicted_session_was() {
    let place = Place::redis().await;
    let browsers = browsers(app(&place.sessions_with(at_most(1))), 1).await;
    browsers[0].visit("/write/cart/full").await;
    signed_in(browsers[0].stranger(), "anna").await;
    let key = format!("session:{}", id_of(&browsers[0]));
    let mut cli = place.server().client();
    let mut names: Vec<String> = redis::cmd("HKEYS").arg(&key).query(&mut cli).unwrap();
    names.sort();
    assert_eq!(names, ["ended", "secret_hash"], "nothing of the user's is left");
    let left: u64 = redis::cmd("TTL").arg(&key).query(&mut cli).unwrap();
    assert!((1..=300).contains(&left), "{left}");
}

#[tokio::test]
async fn a_late_change_does_not_bring_an_evicted_session_back() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(at_most(1));
        let newcomer = Browser::new(app(&sessions));
        let slow = async move |session: Session, State(elsewhere): State<Browser>, Path(verb): Path<String>| {
            signed_in(elsewhere.stranger(), "anna").await;
            match verb.as_str() {
                "set" => session.set(field("cart"), "late"),
                "count" => session.increment(cloakroom::Field::new("count"), 1).await.map(drop),
                "rotate" => session.rotate().await,
                "elevate" => session.elevate().await,
                _ => session.commit().await,
            }
        };
        let slow_app = Router::new().route("/slow/{verb}", get(slow)).with_state(newcomer).layer(sessions.layer());
        for verb in ["set", "count", "rotate", "elevate"] {
            let browser = signed_in(Browser::new(app(&sessions)), "anna").await;
            let answer = browser.at(slow_app.clone()).get(&format!("/slow/{verb}")).await;
            assert_eq!(answer.status, 401, "{verb}");
            assert!(answer.error.unwrap().is_gone());
            assert_eq!(browser.visit("/ended").await.body, "Some(SignedInElsewhere)", "{verb}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_evicted_session_has_ended_for_whoever_wants_to_end_it() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(at_most(1));
        let browsers = browsers(app(&sessions), 2).await;
        let evicted = SessionId::parse(&id_of(&browsers[0])).unwrap();
        assert!(!sessions.revoke(&evicted).await.unwrap(), "it had ended before");
        assert_eq!(browsers[1].visit(&format!("/sign_out_device/{evicted}")).await.body, "false");
        assert_eq!(browsers[1].visit("/sign_out_others").await.body, "0");
        assert_eq!(browsers[0].visit("/ended").await.body, "Some(SignedInElsewhere)", "and still learns why");
        assert_eq!(browsers[1].visit("/sign_out_everywhere").await.body, "1");
    })
    .await;
}

#[tokio::test]
async fn the_order_is_that_of_sign_in_and_not_of_use() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions_with(at_most(2))), 2).await;
        browsers[0].visit("/write/cart/full").await;
        signed_in(browsers[0].stranger(), "anna").await;
        assert_eq!(browsers[0].visit("/whoami").await.body, "nobody", "the busiest is the oldest");
        // signing in again makes one the latest
        signed_in(browsers[1].clone(), "anna").await;
        signed_in(browsers[0].stranger(), "anna").await;
        assert_eq!(browsers[1].visit("/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn a_second_click_on_an_earlier_sign_in_does_not_make_it_the_latest() {
    on_each_store(async |place| {
        let told = Told::default();
        let first = Browser::new(app(&place.sessions_with(told.listen(at_most(2)))));
        first.visit("/write/cart/full").await;
        let before = first.token().unwrap();
        signed_in(first.clone(), "anna").await;
        let second = signed_in(first.stranger(), "anna").await;
        told.forget(4);
        assert_eq!(ask_with(&first, &before, "/sign_in/anna").await.body, "anna");
        assert_eq!(told.names_after(1), ["Rotated"], "it is the sign-in that was told before");
        assert_eq!(first.visit("/devices_of/anna").await.body, format!("{} {}", id_of(&second), id_of(&first)));
        signed_in(first.stranger(), "anna").await;
        assert_eq!(first.visit("/whoami").await.body, "nobody", "it is still the oldest");
        assert_eq!(second.visit("/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn sessions_that_ended_do_not_count() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions_with(at_most(2))), 2).await;
        browsers[1].visit("/sign_out").await;
        signed_in(browsers[1].clone(), "anna").await;
        assert_eq!(browsers[0].visit("/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn a_lowered_limit_holds_from_the_next_sign_in_on() {
    on_each_store(async |place| {
        let browsers = browsers(app(&place.sessions_with(at_most(5))), 5).await;
        signed_in(browsers[4].at(app(&place.sessions_with(at_most(2)))), "anna").await;
        let mut live = Vec::new();
        for browser in &browsers {
            live.push(browser.visit("/whoami").await.body == "anna");
        }
        assert_eq!(live, [false, false, false, true, true]);
    })
    .await;
}

/// Signs in, or shows the person where they are signed in already.
fn refusing(place: &Place) -> (Sessions, Router) {
    async fn attempt(session: Session, State(sessions): State<Sessions>) -> Result<Response, Error> {
        let user = UserId::try_from("anna")?;
        match session.sign_in(&user).await {
            Err(error) if error.is_limit() => {
                let devices = sessions.devices(&user, Page::default()).await?;
                Ok((StatusCode::CONFLICT, format!("{error}: {}", listed(&devices))).into_response())
            }
            other => Ok(other.map(|()| "welcome")?.into_response()),
        }
    }
    let sessions = place.sessions_with(at_most(2).on_limit(OnLimit::RefuseNew));
    let attempt = Router::new().route("/attempt", get(attempt)).with_state(sessions.clone());
    (sessions.clone(), app(&sessions).merge(attempt).layer(sessions.layer()))
}

#[tokio::test]
async fn the_new_one_can_be_refused_and_shown_where_its_user_is_signed_in() {
    on_each_store(async |place| {
        let (_, app) = refusing(&place);
        let browsers = browsers(app, 2).await;
        let newcomer = browsers[0].stranger();
        newcomer.visit("/write/cart/full").await;
        let before = newcomer.token();

        let refused = newcomer.get("/sign_in/anna").await;
        assert_eq!(refused.status, 409);
        let error = refused.error.unwrap();
        assert!(
            error.is_limit()
                && !error.is_conflict()
                && error.to_string().contains("as many sessions as are allowed (2)"),
            "{error}"
        );

        let answer = newcomer.get("/attempt").await;
        assert_eq!(answer.status, 409);
        let shown = format!("{} {}", id_of(&browsers[1]), id_of(&browsers[0]));
        assert!(answer.body.ends_with(&format!(": {shown}")), "{}", answer.body);
        assert_eq!(newcomer.token(), before, "nothing has changed");
        assert_eq!(newcomer.visit("/whoami").await.body + &newcomer.visit("/read/cart").await.body, "nobodyfull");
        for browser in &browsers {
            assert_eq!(browser.visit("/whoami").await.body, "anna");
            signed_in(browser.clone(), "anna").await;
        }

        browsers[0].visit("/sign_out").await;
        assert_eq!(newcomer.visit("/attempt").await.body, "welcome");
        assert_eq!(newcomer.visit("/read/cart").await.body, "full");
    })
    .await;
}

#[tokio::test]
async fn a_refused_sign_in_is_in_no_list_and_ended_by_nobody() {
    on_each_store(async |place| {
        let (sessions, app) = refusing(&place);
        let browsers = browsers(app, 2).await;
        let newcomer = browsers[0].stranger();
        newcomer.visit("/write/cart/full").await;
        assert_eq!(newcomer.get("/sign_in/anna").await.status, 409);
        assert_eq!(sessions.revoke_user("anna").await.unwrap(), 2);
        assert_eq!(newcomer.visit("/read/cart").await.body, "full");
        signed_in(newcomer, "anna").await;
    })
    .await;
}

#[tokio::test]
async fn signing_in_again_beyond_a_lowered_limit_is_refused_to_the_latest_only_and_loses_nobody_from_the_list() {
    on_each_store(async |place| {
        let (_, refusing) = refusing(&place);
        let browsers = browsers(app(&place.sessions_with(at_most(5))), 3).await;
        let again = browsers[2].at(refusing.clone());
        assert_eq!(again.get("/sign_in/anna").await.status, 409, "the limit was lowered to 2, this is the third");
        assert_eq!(again.visit("/whoami").await.body, "anna");
        let again = browsers[0].at(refusing);
        again.visit("/sign_in/anna").await;
        assert_eq!(again.visit("/whoami").await.body, "anna");
        let mut listed: Vec<_> = again.visit("/devices_of/anna").await.body.split(' ').map(str::to_owned).collect();
        let mut all: Vec<_> = browsers.iter().map(id_of).collect();
        listed.sort();
        all.sort();
        assert_eq!(listed, all);
        assert_eq!(again.visit("/sign_out_everywhere").await.body, "3");
    })
    .await;
}

#[tokio::test]
async fn many_browsers_at_once_leave_as_many_sessions_as_allowed() {
    on_each_store(async |place| {
        let app = app(&place.sessions_with(at_most(3)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let browser = Browser::new(app.clone());
            tasks.spawn(async move {
                // who is evicted while signing in is told, and may try again
                let status = browser.get("/sign_in/anna").await.status;
                assert!([200, 401].contains(&status.as_u16()), "{status}");
                browser
            });
        }
        let browsers = tasks.join_all().await;
        let mut live = 0;
        for browser in &browsers {
            live += usize::from(browser.visit("/whoami").await.body == "anna");
        }
        assert_eq!(live, 3);
        assert_eq!(browsers[0].visit("/devices_of/anna").await.body.split(' ').count(), 3);
    })
    .await;
}
