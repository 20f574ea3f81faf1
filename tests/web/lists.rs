//! Lists that many requests append to, and all fields at once.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use cloakroom::{Config, Error, Field, Session, Sessions, TokenFormat};
use tokio::sync::Notify;

use super::framework::{Path, Router, get};
use crate::support::{Browser, Fault, Place, on_each_store};

const MESSAGES: Field<Vec<String>> = Field::new("messages");
const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

async fn shown(session: &Session) -> Result<String, Error> {
    Ok(session.get(MESSAGES)?.map_or("nothing".to_owned(), |messages| messages.join(" ")))
}

fn app(sessions: &Sessions) -> Router {
    let push = async |session: Session, Path(message): Path<String>| {
        session.push(MESSAGES, message.as_str())?;
        shown(&session).await
    };
    let push_and_fail = async |session: Session| {
        session.push(MESSAGES, "lost")?;
        Ok::<_, Error>(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let set_and_push = async |session: Session| {
        session.push(MESSAGES, "dropped")?;
        session.set(MESSAGES, &vec!["set".to_owned()])?;
        session.push(MESSAGES, "pushed")?;
        shown(&session).await
    };
    let remove_and_push = async |session: Session| {
        session.remove(MESSAGES)?;
        session.push(MESSAGES, "first")?;
        session.push(MESSAGES, "second")?;
        shown(&session).await
    };
    let push_and_update = async |session: Session| {
        session.push(MESSAGES, "pushed")?;
        session.update(MESSAGES, |messages| messages.push("updated".to_owned())).await?;
        session.push(MESSAGES, "pushed again")?;
        session.commit().await?;
        session.push(MESSAGES, "and again")?;
        shown(&session).await
    };
    let push_and_take = async |session: Session| {
        session.push(MESSAGES, "pushed")?;
        Ok::<_, Error>(session.take(MESSAGES).await?.unwrap_or_default().join(" "))
    };
    Router::new()
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/name", get(async |session: Session| Ok::<_, Error>(session.get(NAME)?.unwrap_or_default())))
        .route("/text", get(async |session: Session| session.set(Field::<String>::named("messages"), "hello")))
        .route("/messages", get(async |session: Session| shown(&session).await))
        .route("/take", get(async |session: Session| session.take(MESSAGES).await.map(|all| format!("{all:?}"))))
        .route("/push/{message}", get(push))
        .route("/push_and_fail", get(push_and_fail))
        .route("/set_and_push", get(set_and_push))
        .route("/remove_and_push", get(remove_and_push))
        .route("/push_and_update", get(push_and_update))
        .route("/push_and_take", get(push_and_take))
        .layer(sessions.layer())
}

async fn sorted(browser: &Browser) -> Vec<String> {
    let body = browser.visit("/messages").await.body;
    let mut messages: Vec<_> = body.split(' ').map(str::to_owned).collect();
    messages.sort();
    messages
}

#[tokio::test]
async fn ten_requests_at_once_that_each_push_a_message_lose_none() {
    on_each_store(async |place| {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let browser = Browser::new(app(&place.sessions_with(Config::builder().token_format(format))));
            browser.visit("/write").await;
            let mut tasks = tokio::task::JoinSet::new();
            for i in 0..10 {
                let browser = browser.clone();
                tasks.spawn(async move { browser.visit(&format!("/push/m{i}")).await });
            }
            tasks.join_all().await;
            let all: Vec<_> = (0..10).map(|i| format!("m{i}")).collect();
            assert_eq!(sorted(&browser).await, all, "{format:?}");

            browser.visit("/take").await;
            assert_eq!(browser.visit("/messages").await.body, "nothing", "taken is empty");
            assert_eq!(browser.visit("/take").await.body, "None");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_pushed_is_seen_at_once_and_stored_with_the_response_in_one_round_trip() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.visit("/push/one").await.body, "one");
        assert_eq!(place.store.asked(), ["create"], "it makes a session");
        assert_eq!(browser.visit("/push/two").await.body, "one two");
        assert_eq!(place.store.asked(), ["load", "apply"]);
        assert_eq!(browser.get("/push_and_fail").await.status, 500);
        assert_eq!(browser.visit("/messages").await.body, "one two", "what failed leaves nothing");
    })
    .await;
}

#[tokio::test]
async fn a_push_goes_on_from_what_the_request_has_done_to_the_list_before() {
    on_each_store(async |place| {
        let with_a_session = Browser::new(app(&place.sessions()));
        with_a_session.visit("/push/old").await;
        for (browser, old) in [(with_a_session.stranger(), ""), (with_a_session, "old ")] {
            let all = format!("{old}pushed updated pushed again and again");
            assert_eq!(browser.visit("/push_and_update").await.body, all);
            assert_eq!(browser.visit("/messages").await.body, all);
            assert_eq!(browser.visit("/push_and_take").await.body, format!("{all} pushed"));
            assert_eq!(browser.visit("/messages").await.body, "nothing");
            for (path, expected) in [("/set_and_push", "set pushed"), ("/remove_and_push", "first second")] {
                assert_eq!(browser.visit(path).await.body, expected);
                assert_eq!(browser.visit("/messages").await.body, expected);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_push_to_what_is_no_such_list_begins_a_new_one() {
    on_each_store(async |place| {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let browser = Browser::new(app(&place.sessions_with(Config::builder().token_format(format))));
            browser.visit("/text").await;
            assert_eq!(browser.visit("/push/one").await.body, "one");
            assert_eq!(browser.visit("/messages").await.body, "one");
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_grows_up_to_the_limit_of_the_session_and_not_beyond() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions_with(Config::builder().max_bytes(35).max_fields(1))));
        // `messages` and `["0123456789","0123456789"]` are 35 bytes
        browser.visit("/push/0123456789").await;
        browser.visit("/push/0123456789").await;
        let answer = browser.get("/push/0123456789").await;
        assert_eq!(answer.status, 413);
        assert!(answer.error.unwrap().to_string().contains("`messages` would make the session 48 bytes"));
        assert_eq!(browser.get("/write").await.status, 413, "one more field");
        assert_eq!(browser.visit("/messages").await.body, "0123456789 0123456789");
    })
    .await;
}

#[tokio::test]
async fn what_a_request_has_pushed_counts_for_the_limits_of_what_it_sets_next() {
    // `messages` and what is pushed are 21 bytes, `name` and `andrew` 10
    for (stored, max_fields, max_bytes, fits) in [
        (false, 1, 100, false),
        (false, 2, 100, true),
        (true, 2, 100, true),
        (false, 2, 30, false),
        (false, 2, 40, true),
    ] {
        let place = Place::memory();
        let sessions = place.sessions_with(Config::builder().max_fields(max_fields).max_bytes(max_bytes));
        let both = async |session: Session| {
            session.push(MESSAGES, "0123456789")?;
            Ok::<_, Error>(session.set(NAME, "andrew").is_ok().to_string())
        };
        let browser = Browser::new(app(&sessions).route("/both", get(both)).layer(sessions.layer()));
        if stored {
            browser.visit("/push/x").await;
        }
        let case = format!("{stored} {max_fields} {max_bytes}");
        assert_eq!(browser.visit("/both").await.body, fits.to_string(), "{case}");
        assert_eq!(browser.visit("/name").await.body, if fits { "andrew" } else { "" }, "{case}");
    }
}

#[tokio::test]
async fn a_push_is_stored_in_the_same_step_as_a_rotation_that_is_due() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().rotate_every(Duration::from_secs(60)));
    let browser = Browser::new(app(&sessions));
    browser.visit("/push/one").await;
    let before = browser.token();
    place.clock.advance(Duration::from_secs(61));
    place.store.asked();
    browser.visit("/push/two").await;
    assert_eq!(place.store.asked(), ["load", "apply"]);
    assert_ne!(browser.token(), before);
    assert_eq!(browser.visit("/messages").await.body, "one two");
}

#[tokio::test]
async fn what_was_pushed_before_the_store_failed_is_there_once() {
    on_each_store(async |place| {
        let store = place.store.clone();
        let commit = async move |session: Session, Path((verb, how)): Path<(String, String)>| {
            let verb = if verb == "create" { "create" } else { "apply" };
            session.push(MESSAGES, how.as_str())?;
            match how.as_str() {
                "away" => {
                    store.fault(verb, Fault::Away);
                    assert!(session.commit().await.unwrap_err().is_store());
                }
                "lost" => {
                    store.fault(verb, Fault::AnswerLost);
                    assert!(session.commit().await.unwrap_err().is_unknown());
                }
                "undurable" => {
                    store.fault(verb, Fault::NotDurable);
                    assert!(session.commit().await.unwrap_err().is_not_durable());
                }
                _ => {
                    store.fault(verb, Fault::DoneButHangs);
                    tokio::select! {
                        _ = session.commit() => panic!("it hangs"),
                        () = store.until_asked(verb) => {}
                    }
                }
            }
            store.heal();
            session.push(MESSAGES, "more")
        };
        let sessions = place.sessions();
        let app = app(&sessions).route("/commit/{verb}/{how}", get(commit)).layer(sessions.layer());
        for verb in ["create", "apply"] {
            // in memory it is done as soon as it is asked; nobody can say when Redis has done what it will not answer
            let dropped = (!place.is_redis()).then_some("dropped");
            for how in ["away", "lost", "undurable"].into_iter().chain(dropped) {
                let browser = Browser::new(app.clone());
                if verb == "apply" {
                    browser.visit("/write").await;
                }
                place.store.asked();
                browser.visit(&format!("/commit/{verb}/{how}")).await;
                assert_eq!(browser.visit("/messages").await.body, format!("{how} more"), "{verb}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_push_that_is_refused_or_whose_answer_is_lost_is_not_repeated() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().max_bytes(30));
        let browser = Browser::new(app(&sessions));
        browser.visit("/push/old").await;
        let (pushed, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (pushed.clone(), go_on.clone());
        let slow = async move |session: Session| {
            session.push(MESSAGES, "new")?;
            tell.notify_one();
            wait.notified().await;
            Ok::<_, Error>(())
        };
        let slow = browser.at(Router::new().route("/", get(slow)).layer(sessions.layer()));
        let (refused, ()) = tokio::join!(slow.get("/"), async {
            pushed.notified().await;
            browser.visit("/write").await;
            place.store.asked();
            go_on.notify_one();
        });
        assert_eq!((refused.status.as_u16(), place.store.asked()), (413, vec!["apply"]), "there is no room any more");

        place.store.fault("apply", Fault::AnswerLost);
        let lost = browser.get("/push/x").await;
        assert_eq!((lost.status.as_u16(), place.store.asked()), (503, vec!["load", "apply"]));
        place.store.heal();
        assert_eq!(browser.visit("/messages").await.body, "old x");
    })
    .await;
}

fn clearing(sessions: &Sessions) -> Router {
    let begin = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.set(COUNT, &3)?;
        session.sign_in("andrew").await
    };
    let clear = async |session: Session| {
        session.push(MESSAGES, "dropped")?;
        session.set(Field::<String>::named("pending"), "dropped")?;
        session.set_idle_timeout(Duration::from_secs(60))?;
        session.clear()?;
        assert_eq!((session.get(NAME)?, session.fields()), (None, Vec::new()));
        session.set(COUNT, &4)?;
        Ok::<_, Error>(session.fields().join(" "))
    };
    let set_and_clear = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.clear()
    };
    let change = async |session: Session| {
        session.remove(NAME)?;
        session.set(Field::<String>::named("a"), "x")?;
        session.push(MESSAGES, "hello")?;
        Ok::<_, Error>(session.fields().join(" "))
    };
    let of_user = async |session: Session| format!("{:?} {:?}", session.user(), session.idle_timeout());
    Router::new()
        .route("/begin", get(begin))
        .route("/clear", get(clear))
        .route("/set_and_clear", get(set_and_clear))
        .route("/change", get(change))
        .route("/meanwhile", get(async |session: Session| session.set(Field::<String>::named("meanwhile"), "x")))
        .route("/fields", get(async |session: Session| session.fields().join(" ")))
        .route("/of_user", get(of_user))
        .layer(sessions.layer())
}

#[tokio::test]
async fn clear_removes_every_field_stored_or_pending_and_leaves_the_session_and_its_user() {
    on_each_store(async |place| {
        let browser = Browser::new(clearing(&place.sessions()));
        browser.visit("/begin").await;
        assert_eq!(browser.visit("/fields").await.body, "count name", "no reserved ones");
        let token = browser.token();
        assert_eq!(browser.visit("/clear").await.body, "count", "what is set afterwards stays");
        assert_eq!(browser.visit("/fields").await.body, "count");
        assert_eq!(browser.token(), token);
        assert_eq!(browser.visit("/of_user").await.body, "Some(UserId(\"andrew\")) Some(60s)");
    })
    .await;
}

#[tokio::test]
async fn clearing_for_a_visitor_without_a_session_makes_none() {
    let place = Place::memory();
    let browser = Browser::new(clearing(&place.sessions()));
    browser.visit("/set_and_clear").await;
    assert_eq!(browser.visit("/fields").await.body, "");
    assert_eq!(browser.token(), None);
    assert!(place.store.asked().is_empty());
}

#[tokio::test]
async fn the_fields_are_named_as_this_request_sees_them() {
    on_each_store(async |place| {
        let browser = Browser::new(clearing(&place.sessions()));
        browser.visit("/begin").await;
        assert_eq!(browser.visit("/change").await.body, "a count messages");
        assert_eq!(browser.visit("/fields").await.body, "a count messages");
    })
    .await;
}

#[tokio::test]
async fn what_another_request_sets_while_one_clears_stays() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(clearing(&sessions));
        browser.visit("/begin").await;
        let (cleared, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (cleared.clone(), go_on.clone());
        let slow = async move |session: Session| {
            session.clear()?;
            tell.notify_one();
            wait.notified().await;
            Ok::<_, Error>(())
        };
        let slow = browser.at(Router::new().route("/", get(slow)).layer(sessions.layer()));
        tokio::join!(slow.visit("/"), async {
            cleared.notified().await;
            browser.visit("/meanwhile").await;
            go_on.notify_one();
        });
        assert_eq!(browser.visit("/fields").await.body, "meanwhile");
    })
    .await;
}
