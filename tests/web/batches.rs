//! Several changes in one step, and only if what they were made for is still stored.

use cloakroom::store::{Change, Credentials, Embedded, FieldChanges, Outcome, Save, Store as _, Terms};
use cloakroom::{Config, Error, Field, Session, SessionId, Sessions, TokenFormat};
use serde_json::Value;

use super::framework::{Path, Router, State, get};
use crate::support::{Browser, Fault, Place, on_each_store};

fn field(name: &str) -> Field<Value> {
    Field::named(name.to_owned())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Makes a batch of entries such as `set=a=1;add=n=2;remove=b;expect=c=3;absent=d`.
async fn batch(session: &Session, entries: &str) -> Result<(), Error> {
    let mut batch = session.batch();
    for entry in entries.split(';').filter(|entry| !entry.is_empty()) {
        let mut parts = entry.splitn(3, '=');
        let (verb, name, value) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or_default());
        batch = match verb {
            "set" => batch.set(field(name), &json(value)),
            "add" => batch.increment(Field::named(name.to_owned()), value.parse().unwrap()),
            "remove" => batch.remove(field(name)),
            "expect" => batch.expect(field(name), &json(value)),
            "absent" => batch.expect_absent(field(name)),
            other => panic!("no entry of a batch: {other}"),
        };
    }
    batch.await
}

fn shown(session: &Session) -> Result<String, Error> {
    let all = session.fields().into_iter().map(|name| {
        let value = session.get(field(&name))?.unwrap_or_default();
        Ok(format!("{name}={value}"))
    });
    all.collect::<Result<Vec<_>, _>>().map(|all| all.join(" "))
}

fn app(sessions: &Sessions) -> Router {
    let make = async |session: Session, Path(entries): Path<String>| {
        batch(&session, &entries).await?;
        shown(&session)
    };
    // what is deferred, and then the batch
    let defer = async |session: Session, Path((name, value, entries)): Path<(String, i64, String)>| {
        session.set(Field::<i64>::named(name), &value)?;
        batch(&session, &entries).await?;
        shown(&session)
    };
    // another request is faster than the batch of this one
    let late = async |session: Session,
                      State(sessions): State<Sessions>,
                      Path((name, value, entries)): Path<(String, String, String)>| {
        let other = sessions.find(&session.id().unwrap()).await?.unwrap();
        other.set(field(&name), &json(&value)).await?;
        batch(&session, &entries).await?;
        shown(&session)
    };
    let ended = async |session: Session, State(sessions): State<Sessions>, Path(entries): Path<String>| {
        sessions.revoke(&session.id().unwrap()).await?;
        batch(&session, &entries).await
    };
    Router::new()
        .route("/", get(async |session: Session| shown(&session)))
        .route("/exists", get(async |session: Session| session.exists().to_string()))
        .route("/batch/{entries}", get(make))
        .route("/defer/{name}/{value}/{entries}", get(defer))
        .route("/late/{name}/{value}/{entries}", get(late))
        .route("/ended/{entries}", get(ended))
        .with_state(sessions.clone())
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_batch_changes_everything_in_one_step_and_the_handler_sees_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.visit("/batch/set=a=1;set=b=x;add=n=2").await.body, r#"a=1 b="x" n=2"#);
        assert_eq!(place.store.asked(), ["create"]);
        let everything = "/batch/expect=a=1;absent=c;set=a=2;set=c=[1];remove=b;add=n=-3";
        assert_eq!(browser.visit(everything).await.body, "a=2 c=[1] n=-1");
        assert_eq!(place.store.asked(), ["load", "apply"]);
        assert_eq!(browser.visit("/").await.body, "a=2 c=[1] n=-1");
        assert_eq!(browser.visit("/batch/expect=a=2").await.body, "a=2 c=[1] n=-1", "to expect alone is allowed");
        place.store.asked();
        browser.visit("/batch/;").await;
        assert_eq!(place.store.asked(), ["load"], "an empty batch asks nobody");
    })
    .await;
}

#[tokio::test]
async fn an_expectation_that_does_not_hold_is_a_conflict_that_names_the_field_and_changes_nothing() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/batch/set=a=1;set=n=1").await;
        for (unmet, why) in [
            ("expect=a=2", "field `a` has another value"),
            ("expect=a=", "field `a` has another value"),
            ("expect=b=null", "field `b` is not there"),
            ("absent=a", "field `a` is there"),
        ] {
            let answer = browser.get(&format!("/batch/expect=n=1;{unmet};set=c=1;add=n=1;remove=n2")).await;
            assert_eq!(answer.status, 409, "{unmet}");
            let error = answer.error.expect("the layer leaves it");
            assert!(error.is_conflict() && error.to_string().contains(why), "{error}");
            assert_eq!(browser.visit("/").await.body, "a=1 n=1", "{unmet}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_counts_is_the_value_that_is_stored_now() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/batch/set=a=1").await;
        assert_eq!(browser.visit("/late/a/2/expect=a=2;set=b=2").await.body, "a=2 b=2", "what others made of it");
        let seen = browser.get("/late/a/3/expect=a=2;set=b=3").await;
        assert_eq!(seen.status, 409, "what this request has seen");
        let error = seen.error.unwrap().to_string();
        assert!(error.contains("field `a` has another value"), "it says what was found: {error}");
        assert_eq!(browser.get("/late/c/3/absent=c;set=b=3").await.status, 409);
        browser.visit("/late/d/4/expect=a=3;set=b=4").await; // other fields do not matter
        assert_eq!(browser.visit("/").await.body, "a=3 b=4 c=3 d=4");
    })
    .await;
}

/// Stores a text as another program may have written it.
async fn write(place: &Place, id: &str, name: &str, text: &str) {
    let terms = Terms::default();
    let id = SessionId::parse(id).unwrap();
    let record = place.store.load_by_id(&id, &terms).await.unwrap().unwrap().record;
    let presented = Credentials { id, secret_hash: record.secret_hash };
    let fields = FieldChanges { set: [(name, text)].into(), ..FieldChanges::default() };
    let save = Change::Save(Save { fields, ..Save::default() });
    let outcome = place.store.apply(&presented, &save, &terms).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_value_may_be_spelled_in_another_way_than_was_expected() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/batch/set=n=0").await;
        let id = browser.token().unwrap().split('.').next().unwrap().to_owned();
        for (stored, expected, other) in [
            (r#" {"b": 2.0, "a": [1 ]}"#, r#"{"a":[1],"b":2}"#, r#"{"a":[1],"b":3}"#),
            ("1.0", "1", "true"),
            (r#""3""#, r#""3""#, "3"),
            (r#""plain""#, "plain", "other"),
        ] {
            write(&place, &id, "a", stored).await;
            let answer = browser.get(&format!("/batch/expect=a={}", url(other))).await;
            assert_eq!(answer.status, 409, "{stored} is not {other}");
            browser.visit(&format!("/batch/expect=a={};add=n=1", url(expected))).await;
        }
        // somebody spells it anew after this request has seen it
        write(&place, &id, "a", "1.0").await;
        browser.visit("/late/a/1/expect=a=1;add=n=1").await;
        browser.visit("/batch/expect=n=5").await;
    })
    .await;
}

/// As it may stand in a path.
fn url(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn with_plain_tokens_a_text_is_a_string_whatever_it_looks_like() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
        let expect = async |session: Session| {
            const VERSION: Field<String> = Field::new("version");
            session.batch().set(VERSION, "1.0").await?;
            assert!(session.batch().expect(VERSION, "1").remove(VERSION).await.unwrap_err().is_conflict());
            assert!(session.batch().expect(VERSION, "1.0 ").remove(VERSION).await.unwrap_err().is_conflict());
            session.batch().expect(VERSION, "1.0").increment(Field::new("n"), 1).await?;
            // for whoever takes it for a number, it is one
            session.batch().expect(Field::<i64>::new("version"), &1).remove(VERSION).await
        };
        let browser = Browser::new(app(&sessions).route("/expect", get(expect)).layer(sessions.layer()));
        browser.visit("/expect").await;
        assert_eq!(browser.visit("/").await.body, "n=1");
    })
    .await;
}

#[tokio::test]
async fn a_visitor_without_a_session_gets_one_only_for_what_is_stored() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for (entries, status) in
            [("remove=a;absent=b", 200), ("absent=a", 200), ("expect=a=1;set=b=1", 409), (";", 200)]
        {
            let answer = browser.get(&format!("/batch/{entries}")).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie()), (status, None), "{entries}");
        }
        assert!(place.store.asked().is_empty());
        assert_eq!(browser.visit("/batch/absent=n;add=n=5;remove=a").await.body, "n=5");
        assert_eq!(browser.visit("/batch/add=n=1;add=m=1").await.body, "m=1 n=6");
    })
    .await;
}

#[tokio::test]
async fn what_was_deferred_before_is_superseded_in_the_fields_of_the_batch() {
    on_each_store(async |place| {
        for had_session in [false, true] {
            let browser = Browser::new(app(&place.sessions()));
            if had_session {
                browser.visit("/batch/set=b=0").await;
            }
            assert_eq!(browser.visit("/defer/a/5/set=a=6;set=b=1").await.body, "a=6 b=1");
            assert_eq!(browser.visit("/").await.body, "a=6 b=1");
            assert_eq!(browser.visit("/defer/a/7/remove=a").await.body, "b=1");
            assert_eq!(browser.visit("/").await.body, "b=1");
            assert_eq!(browser.visit("/defer/b/10/add=b=2").await.body, "b=12", "it counts from there");
            assert_eq!(browser.visit("/defer/c/1/expect=b=12;absent=c;set=d=1").await.body, "b=12 c=1 d=1");
            assert_eq!(browser.visit("/").await.body, "b=12 c=1 d=1", "other fields are stored with the response");
        }
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_is_not_allowed_refuses_the_whole_batch() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions_with(Config::builder().max_bytes(100))));
        browser.visit("/batch/set=a=text;set=n=9223372036854775807").await;
        for (entries, status, why) in [
            ("set=b=1;add=b=1", 400, "stands twice"),
            ("set=b=1;set=b=1", 400, "stands twice"),
            ("remove=a;set=a=1", 400, "stands twice"),
            ("expect=a=text;absent=a", 400, "stands twice"),
            ("set=user_id=1", 400, "reserved"),
            ("expect=secret_hash=1", 400, "reserved"),
            ("add=n=1", 400, "64-bit"),
            ("add=a=1", 500, "whole number"),
            (&format!("set=b={}", "x".repeat(100)), 413, "max_bytes"),
        ] {
            let answer = browser.get(&format!("/batch/set=c=1;{entries}")).await;
            assert_eq!(answer.status, status, "{entries}");
            let error = answer.error.expect("the layer leaves it");
            assert!(error.is_invalid() && error.to_string().contains(why), "{error}");
            assert_eq!(browser.visit("/batch/expect=a=text;remove=c").await.body.len(), 30, "{entries}");
        }
        let error = browser.stranger().get("/defer/n/9223372036854775807/add=n=1").await.error.unwrap();
        assert!(error.is_invalid(), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_batch_for_a_session_that_has_ended_makes_no_new_one() {
    on_each_store(async |place| {
        for entries in ["set=a=1", "expect=a=1;set=a=2", "expect=a=2", "absent=a;add=n=1", "remove=a"] {
            let browser = Browser::new(app(&place.sessions()));
            browser.visit("/batch/set=a=1").await;
            let answer = browser.get(&format!("/ended/{entries}")).await;
            assert!(answer.error.is_some_and(|error| error.is_gone()), "{entries}");
            assert_eq!(browser.visit("/exists").await.body, "false", "{entries}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_made_once_and_says_that_nobody_knows() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/batch/set=a=1").await;
        place.store.fault("apply", Fault::AnswerLost);
        let answer = browser.get("/batch/expect=a=1;set=a=2;add=n=1").await;
        assert!(answer.error.is_some_and(|error| error.is_unknown()));
        place.store.heal();
        assert_eq!(browser.visit("/").await.body, "a=2 n=1");
        // the expectation tells whoever asks again that it was made
        assert_eq!(browser.get("/batch/expect=a=1;set=a=2;add=n=1").await.status, 409);
    })
    .await;
}

/// Tasks move coins between two purses. Each move expects both of them as it has seen them.
async fn move_coins(sessions: Sessions) {
    const TASKS: i64 = 4;
    const MOVES: i64 = 10;
    const MADE: Field<i64> = Field::new("moves");
    const COINS: [Field<i64>; 2] = [Field::new("left"), Field::new("right")];
    let [left, right] = COINS;
    let (_, live) = sessions.create().set(left.clone(), &100).set(right.clone(), &100).await.unwrap();
    let id = live.id();
    let tasks = (0..TASKS).map(|task| {
        let (sessions, left, right) = (sessions.clone(), left.clone(), right.clone());
        tokio::spawn(async move {
            let (mut made, mut refused) = (0, 0);
            while made < MOVES {
                let mine = sessions.find(&id).await.unwrap().unwrap();
                let (from, to) = (mine.get(left.clone()).unwrap().unwrap(), mine.get(right.clone()).unwrap().unwrap());
                let batch = mine.batch().expect(left.clone(), &from).expect(right.clone(), &to).increment(MADE, 1);
                match batch.set(left.clone(), &(from - task)).set(right.clone(), &(to + task)).await {
                    Ok(()) => made += 1,
                    Err(error) => {
                        assert!(error.is_conflict(), "{error}");
                        refused += 1;
                    }
                }
            }
            refused
        })
    });
    let mut refused = 0;
    for task in tasks.collect::<Vec<_>>() {
        refused += task.await.unwrap();
    }
    live.refresh().await.unwrap();
    let moved = MOVES * (0..TASKS).sum::<i64>();
    let seen = [left, right, MADE].map(|field| live.get(field).unwrap());
    assert_eq!(seen, [Some(100 - moved), Some(100 + moved), Some(TASKS * MOVES)], "{refused} were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_batches_at_once_that_expect_one_state_one_is_made_and_nothing_is_lost() {
    on_each_store(async |place| move_coins(place.sessions()).await).await;
    let dir = tempfile::tempdir().unwrap();
    move_coins(Sessions::new(Embedded::open(dir.path()).unwrap(), Config::default())).await;
}
