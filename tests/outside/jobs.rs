//! Sessions that a job makes, finds and changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::{Config, Error, Event, Field, LiveSession, OnLimit, Page, RevokeReason, Sessions, TokenFormat};
use tokio::sync::mpsc;

use crate::support::{Browser, Fault, Place, on_each_store};
use crate::{COUNT, NAME, app, on_every_store};

const CART: Field<Vec<u32>> = Field::new("cart");
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_session_that_a_job_makes_is_opened_by_its_token_and_found_by_its_id() {
    on_every_store(async |world| {
        let (token, made) =
            world.here.create().set(NAME, "Ada").set(COUNT, &7).idle_timeout(10 * MINUTE).await.unwrap();
        assert_eq!((made.get(NAME).unwrap().as_deref(), made.idle_timeout()), (Some("Ada"), 10 * MINUTE));

        let opened = world.elsewhere.find_by_token(token.expose()).await.unwrap().expect("the token opens it");
        let found = world.elsewhere.find(&made.id()).await.unwrap().expect("it is there");
        for session in [&opened, &found] {
            assert_eq!((session.id(), session.user()), (made.id(), None));
            assert_eq!((session.fields(), session.get(COUNT).unwrap()), (vec!["count".into(), "name".into()], Some(7)));
            assert!(session.remaining() <= 10 * MINUTE);
        }
        assert_eq!(opened.increment(COUNT, 1).await.unwrap(), 8);
        assert_eq!(found.increment(COUNT, 1).await.unwrap(), 9, "whoever counts");
        found.set(NAME, "Grace").await.unwrap();
        opened.remove(COUNT).await.unwrap();
        opened.set_idle_timeout(5 * MINUTE).await.unwrap();
        made.refresh().await.unwrap();
        assert_eq!((made.fields(), made.get(NAME).unwrap().as_deref()), (vec!["name".into()], Some("Grace")));
        assert_eq!(made.idle_timeout(), 5 * MINUTE);

        let browser = Browser::new(app(&world.here, &Default::default()));
        browser.carry("__Host-sid", token.expose());
        assert_eq!(browser.visit("/show").await.body, "\"Grace\" 0", "it is a session like any other");
        assert!(found.end().await.unwrap() && !found.end().await.unwrap());
        assert_eq!(browser.visit("/show").await.body, "\"\" 0");
    })
    .await;
}

#[tokio::test]
async fn a_handle_shows_exactly_what_is_stored() {
    let place = Place::memory();
    let sessions = place.sessions();
    let (_, visitor) = sessions.create().await.unwrap();
    place.clock.advance(MINUTE);
    let begun = place.clock.now();
    let create = sessions.create().set(NAME, "Ada").idle_timeout(10 * MINUTE);
    let (_, made) = create.sign_in("ada").device("The television").await.unwrap();
    place.clock.advance(MINUTE);
    made.refresh().await.unwrap();
    assert_eq!(made.user().unwrap().as_str(), "ada");
    assert_eq!([made.created_at(), made.signed_in_at(), made.auth_time()], [Some(begun); 3]);
    assert_eq!((made.remaining(), made.ends_at()), (9 * MINUTE, Some(begun + 10 * MINUTE)));
    assert_eq!(made.try_get(NAME).unwrap().as_deref(), Some("Ada"));
    assert!(made.try_get(Field::<u8>::named("name")).unwrap_err().is_invalid());

    let times = [visitor.created_at(), visitor.signed_in_at(), visitor.auth_time()];
    assert_eq!(times, [Some(begun - MINUTE), None, None]);
    assert_eq!((visitor.user(), visitor.idle_timeout()), (None, 30 * MINUTE));
}

#[tokio::test]
async fn a_token_that_nobody_made_opens_nothing_and_the_store_is_asked_only_for_what_may_be_one() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let (token, session) = sessions.create().await.unwrap();
        place.store.asked();
        let id = session.id();
        for malformed in
            ["", "x", id.expose(), &token.expose()[1..], &format!("{} ", token.expose()), &"x".repeat(9000)]
        {
            assert!(sessions.find_by_token(malformed).await.unwrap().is_none(), "{malformed}");
        }
        assert!(place.store.asked().is_empty());
        let (other, _) = sessions.create().await.unwrap();
        let (_, secret) = other.expose().split_once('.').unwrap();
        assert!(sessions.find_by_token(&format!("{}.{secret}", id.expose())).await.unwrap().is_none());
        assert!(!format!("{token:?} {session:?}").contains(&token.expose()[23..]), "nothing shows the secret");
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_done_with_a_session_that_has_ended_brings_it_back() {
    on_every_store(async |world| {
        let (token, made) = world.here.create().set(NAME, "Ada").await.unwrap();
        let opened = world.here.find_by_token(token.expose()).await.unwrap().unwrap();
        let found = world.here.find(&made.id()).await.unwrap().unwrap();
        assert!(world.elsewhere.revoke(&made.id()).await.unwrap());
        for session in [&made, &opened, &found] {
            let errors = [
                session.set(NAME, "a ghost").await,
                session.remove(NAME).await,
                session.increment(COUNT, 1).await.map(drop),
                session.update(CART, |cart| cart.push(7)).await,
                session.take(NAME).await.map(drop),
                session.set_idle_timeout(MINUTE).await,
                session.touch().await,
                session.refresh().await,
            ];
            for error in errors {
                assert!(error.unwrap_err().is_gone());
            }
            assert!(!session.is_live().await.unwrap() && !session.end().await.unwrap());
        }
        assert!(world.here.find(&made.id()).await.unwrap().is_none());
        assert!(world.here.find_by_token(token.expose()).await.unwrap().is_none());
        if let Some(server) = &world.server {
            assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_not_allowed_makes_no_session_and_changes_none() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().max_fields(2).max_bytes(64));
        let long = "x".repeat(65);
        let refused = [
            sessions.create().set(NAME, &long).await,
            sessions.create().set(Field::<f64>::new("number"), &f64::NAN).await,
            sessions.create().set(Field::<u8>::named("user_id"), &1).await,
            sessions.create().idle_timeout(Duration::ZERO).await,
            sessions.create().idle_timeout(Duration::from_secs(13 * 3600)).await,
        ];
        for error in refused {
            assert!(error.unwrap_err().is_invalid());
        }
        assert!(place.store.asked().is_empty());
        let (_, session) = sessions.create().set(NAME, "Ada").set(COUNT, &i64::MAX).await.unwrap();
        let refused = [
            session.set(NAME, &long).await,
            session.set(Field::<u8>::new("third"), &3).await,
            session.set(Field::<u8>::named("user_id"), &1).await,
            session.increment(COUNT, 1).await.map(drop),
            session.set_idle_timeout(Duration::from_millis(1500)).await,
        ];
        for error in refused {
            assert!(error.unwrap_err().is_invalid());
        }
        session.refresh().await.unwrap();
        assert_eq!(session.get(NAME).unwrap().as_deref(), Some("Ada"));
        assert_eq!(session.get(COUNT).unwrap(), Some(i64::MAX));
        if place.is_redis() {
            assert_eq!(place.server().immortal_keys(), [""; 0]);
        }
    })
    .await;
}

#[tokio::test]
async fn different_fields_never_overwrite_each_other_and_no_update_is_lost() {
    on_every_store(async |world| {
        let (_, made) = world.here.create().await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..8_u32 {
            let manager = if i % 2 == 0 { world.here.clone() } else { world.elsewhere.clone() };
            let id = made.id();
            tasks.spawn(async move {
                let session = manager.find(&id).await.unwrap().unwrap();
                session.set(Field::<u32>::named(format!("own{i}")), &i).await.unwrap();
                session.increment(COUNT, 1).await.unwrap();
                let mut change = session.update(CART, |cart| cart.push(i)).await;
                while change.as_ref().is_err_and(Error::is_conflict) {
                    change = session.update(CART, |cart| cart.push(i)).await;
                }
                change.unwrap();
            });
        }
        tasks.join_all().await;
        made.refresh().await.unwrap();
        let mut cart = made.get(CART).unwrap().unwrap();
        cart.sort_unstable();
        assert_eq!((cart, made.get(COUNT).unwrap()), ((0..8).collect(), Some(8)));
        assert_eq!(made.fields().len(), 10);
    })
    .await;
}

#[tokio::test]
async fn of_several_that_take_a_value_one_gets_it_also_with_a_handle_that_has_not_seen_it() {
    on_every_store(async |world| {
        let (_, made) = world.here.create().await.unwrap();
        let old = world.elsewhere.find(&made.id()).await.unwrap().unwrap();
        made.set(NAME, "Ada").await.unwrap();
        let taken = tokio::join!(old.take(NAME), made.take(NAME));
        let taken = [taken.0.unwrap(), taken.1.unwrap()];
        assert_eq!(taken.iter().flatten().collect::<Vec<_>>(), ["Ada"], "{taken:?}");
    })
    .await;
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_unknown_and_is_not_repeated() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let (_, made) = sessions.create().await.unwrap();
        let found = sessions.find(&made.id()).await.unwrap().unwrap();
        for session in [&made, &found] {
            session.set(COUNT, &0).await.unwrap();
            place.store.asked();
            place.store.fault("apply", Fault::AnswerLost);
            assert!(session.increment(COUNT, 1).await.unwrap_err().is_unknown());
            assert!(session.set(NAME, "Ada").await.unwrap_err().is_unknown());
            assert_eq!(place.store.asked(), ["apply", "apply"]);
            place.store.heal();
            session.remove(NAME).await.unwrap();
            session.refresh().await.unwrap();
            assert_eq!(session.get(COUNT).unwrap(), Some(1), "it was counted once");
            assert_eq!(session.get(NAME).unwrap(), None, "and nothing of before is written later");
        }
        place.store.fault("create", Fault::AnswerLost);
        assert!(sessions.create().await.unwrap_err().is_unknown());
    })
    .await;
}

#[tokio::test]
async fn a_change_that_was_dropped_on_its_way_is_made_once_or_not_at_all() {
    for (fault, expected) in [(Fault::Hangs, 1), (Fault::DoneButHangs, 2)] {
        let place = Place::memory();
        let (_, session) = place.sessions().create().await.unwrap();
        place.store.asked();
        place.store.fault("apply", fault);
        tokio::select! {
            biased;
            result = session.increment(COUNT, 1) => panic!("{result:?}"),
            () = place.store.until_asked("apply") => place.store.heal(),
        }
        assert_eq!(session.increment(COUNT, 1).await.unwrap(), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn what_a_job_does_keeps_nobody_signed_in_and_a_touch_does() {
    let place = Place::memory();
    let (_, session) = place.sessions().create().idle_timeout(10 * MINUTE).await.unwrap();
    let found = place.sessions().find(&session.id()).await.unwrap().unwrap();
    place.clock.advance(6 * MINUTE);
    session.set(NAME, "Ada").await.unwrap();
    found.increment(COUNT, 1).await.unwrap();
    session.refresh().await.unwrap();
    assert_eq!(session.remaining(), 4 * MINUTE);
    found.touch().await.unwrap();
    assert_eq!(found.remaining(), 10 * MINUTE);
    place.clock.advance(6 * MINUTE);
    session.set_idle_timeout(2 * MINUTE).await.unwrap();
    assert_eq!(session.remaining(), 2 * MINUTE, "it counts from now");
    place.clock.advance(2 * MINUTE);
    assert!(!session.is_live().await.unwrap() && !found.is_live().await.unwrap());
}

#[tokio::test]
async fn a_job_that_knows_the_id_goes_on_through_sign_ins_and_new_secrets() {
    on_every_store(async |world| {
        let visitor = world.visitor();
        visitor.elsewhere.visit("/write").await;
        let id = visitor.stream().await.id();
        let found = world.here.find(&id).await.unwrap().unwrap();
        for path in ["/rotate", "/rotate", "/sign_in", "/elevate", "/rotate"] {
            visitor.elsewhere.visit(path).await;
            found.increment(COUNT, 1).await.unwrap();
        }
        found.refresh().await.unwrap();
        assert_eq!(found.user().unwrap().as_str(), "andrew");
        assert_eq!(visitor.elsewhere.visit("/show").await.body, "\"andrew\" 5");
        visitor.elsewhere.visit("/rotate").await;
        assert!(found.end().await.unwrap());
        assert_eq!(visitor.elsewhere.visit("/show").await.body, "\"\" 0");
    })
    .await;
}

#[tokio::test]
async fn a_user_who_is_signed_in_outside_a_request_has_one_more_device_and_the_limit_applies() {
    on_every_store(async |world| {
        let create = || world.here.create().set(NAME, "Ada").idle_timeout(10 * MINUTE);
        let mut tokens = Vec::new();
        for label in ["first", "second", "third"] {
            let (token, live) = create().sign_in("ada").device(label).await.unwrap();
            assert_eq!((live.user().unwrap().as_str(), live.idle_timeout()), ("ada", 10 * MINUTE));
            assert_eq!(live.get(NAME).unwrap().as_deref(), Some("Ada"));
            tokens.push(token);
        }
        let devices = world.elsewhere.devices("ada", Page::default()).await.unwrap();
        let labels: Vec<_> = devices.iter().map(|device| device.label.as_deref().unwrap()).collect();
        assert_eq!(labels, ["third", "second"], "two are allowed");
        for (token, lives) in tokens.iter().zip([false, true, true]) {
            assert_eq!(world.elsewhere.find_by_token(token.expose()).await.unwrap().is_some(), lives);
        }
        assert!(create().sign_in("").await.unwrap_err().is_invalid());
    })
    .await;
}

#[tokio::test]
async fn a_session_that_could_not_be_made_as_asked_for_is_not_left_behind() {
    on_each_store(async |place| {
        let config = Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew);
        let sessions = place.sessions_with(config);
        let (_, first) = sessions.create().sign_in("ada").await.unwrap();
        place.store.asked();
        assert!(sessions.create().sign_in("ada").await.unwrap_err().is_limit());
        assert_eq!(place.store.asked(), ["create", "apply", "revoke"]);
        place.store.fault("apply", Fault::AnswerLost);
        assert!(sessions.create().sign_in("bob").await.unwrap_err().is_unknown());
        place.store.heal();
        assert!(sessions.devices("bob", Page::default()).await.unwrap().is_empty());
        assert!(first.is_live().await.unwrap());
        if place.is_redis() {
            let keys: Vec<String> = place.server().ask(&["KEYS", "session:*"]);
            let sessions: Vec<_> = keys.iter().filter(|key| !key.starts_with("session:user:")).collect();
            assert_eq!(sessions, [&format!("session:{}", first.id())]);
        }
        let plain = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
        place.store.asked();
        assert!(plain.create().sign_in("ada").await.unwrap_err().is_config());
        assert!(place.store.asked().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_application_hears_of_what_jobs_do() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let place = Place::memory();
    let config = Config::builder().on_event(move |event: &Event| drop(tell.send(event.clone())));
    let sessions = place.sessions_with(config);
    let (token, made) = sessions.create().await.unwrap();
    let opened = sessions.find_by_token(token.expose()).await.unwrap().unwrap();
    opened.end().await.unwrap();
    let (_, other) = sessions.create().await.unwrap();
    sessions.find(&other.id()).await.unwrap().unwrap().end().await.unwrap();

    let mut next = async || told.recv().await.unwrap();
    assert!(matches!(next().await, Event::Created { session } if session == made.id()));
    assert!(matches!(next().await, Event::Revoked { ended: 1, reason: RevokeReason::SignedOut, .. }));
    assert!(matches!(next().await, Event::Created { session } if session == other.id()));
    assert!(matches!(next().await, Event::Revoked { ended: 1, reason: RevokeReason::Application, .. }));
}

#[tokio::test]
async fn plain_tokens_work_outside_a_request_as_well() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
        let (token, made) = sessions.create().set(NAME, "Ada").await.unwrap();
        let opened = sessions.find_by_token(token.expose()).await.unwrap().unwrap();
        let found = sessions.find(&made.id()).await.unwrap().unwrap();
        assert_eq!(opened.increment(COUNT, 1).await.unwrap() + found.increment(COUNT, 1).await.unwrap(), 3);
        assert!(opened.end().await.unwrap());
        assert!(found.set(NAME, "a ghost").await.unwrap_err().is_gone());
    })
    .await;
}

#[tokio::test]
async fn a_token_that_was_replaced_some_time_ago_is_judged_as_in_a_request() {
    let place = Place::memory();
    let replayed = Arc::new(AtomicBool::new(false));
    let tell = replayed.clone();
    let config = Config::builder()
        .on_event(move |event: &Event| tell.store(matches!(event, Event::Replayed { .. }), Ordering::SeqCst));
    let sessions: Sessions = place.sessions_with(config);
    let browser = Browser::new(app(&sessions, &Default::default()));
    browser.visit("/write").await;
    let old = browser.token().unwrap();
    browser.visit("/rotate").await;
    browser.visit("/write").await;
    assert!(sessions.find_by_token(&old).await.unwrap().is_some(), "it is held");
    place.clock.advance(MINUTE);
    assert!(sessions.find_by_token(&old).await.unwrap().is_none());
    crate::soon("the hook hears of it", async {
        while !replayed.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_plain_session_that_another_program_keeps_beyond_its_time_is_not_found() {
    let place = Place::redis().await;
    let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
    let (token, made) = sessions.create().idle_timeout(Duration::from_secs(1)).await.unwrap();
    let key = format!("session:{}", token.expose());
    assert_eq!(place.server().ask::<i64>(&["EXPIRE", &key, "1000"]), 1);
    crate::soon("its time is over", async {
        while made.is_live().await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(sessions.find(&made.id()).await.unwrap().is_none());
    assert_eq!(place.server().ask::<i64>(&["EXISTS", &key]), 1);
}

/// For what has to be sent to another task.
#[test]
fn a_live_session_can_be_sent_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<LiveSession>();
}
