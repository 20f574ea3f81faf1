//! Names, values, counters and durations that do not fit: an error, and what was there stays.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::{Config, ConfigBuilder, Error, Field, Session, Sessions, TokenFormat, store::reserved_fields};

use crate::support::{Browser, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// The names that no application may use; the three that are reserved with plain tokens as well come first.
fn reserved() -> &'static [&'static str] {
    reserved_fields(TokenFormat::Secret)
}

/// The application's fields as they are stored.
async fn stored(session: Session) -> String {
    let fields: BTreeMap<_, _> =
        session.stored().into_iter().filter(|(name, _)| !reserved().contains(&name.as_str())).collect();
    format!("{fields:?}")
}

/// The names of everything that is stored.
async fn all(session: Session) -> String {
    let mut names: Vec<_> = session.stored().into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.join(" ")
}

/// A browser whose session holds `name = andrew` and `count = 3`, at an application with one more route, `/try`.
async fn browser_at<H, T>(sessions: &Sessions, attempt: H) -> Browser
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    let begin = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.set(COUNT, &3)
    };
    let app = Router::new()
        .route("/begin", get(begin))
        .route("/stored", get(stored))
        .route("/try", get(attempt))
        .layer(sessions.layer());
    let browser = Browser::new(app);
    browser.visit("/begin").await;
    browser
}

const INTACT: &str = r#"{"count": "3", "name": "andrew"}"#;

async fn names_are_refused(config: ConfigBuilder, names: Vec<String>) {
    let place = Place::memory();
    let attempt = async move |session: Session| {
        for name in &names {
            let text: Field<String> = Field::named(name.clone());
            let errors = [
                session.set(text.clone(), "x").unwrap_err(),
                session.remove(text.clone()).unwrap_err(),
                session.get(text.clone()).unwrap_err(),
                session.try_get(text).unwrap_err(),
                session.increment(Field::named(name.clone()), 1).await.unwrap_err(),
            ];
            for error in errors {
                assert!(error.is_invalid() && error.status() == 400, "{name}: {error}");
                assert!(error.to_string().contains(match name.len() {
                    0 => "must not be empty",
                    65.. => "at most 64 bytes, but this one has",
                    _ => "reserved",
                }));
            }
        }
    };
    let browser = browser_at(&place.sessions_with(config), attempt).await;
    place.store.asked();
    browser.visit("/try").await;
    assert_eq!(place.store.asked(), ["load"], "nothing was even asked of the store");
    assert_eq!(browser.visit("/stored").await.body, INTACT);
}

#[tokio::test]
async fn a_reserved_empty_or_long_name_is_an_error_and_changes_nothing() {
    let odd = ["".to_owned(), "n".repeat(65), "ü".repeat(33)];
    names_are_refused(
        Config::builder(),
        odd.iter().cloned().chain(reserved().iter().map(|name| (*name).to_owned())).collect(),
    )
    .await;
    let of_the_tutorials = reserved_fields(TokenFormat::Plain).iter().map(|name| (*name).to_owned());
    let plain = Config::builder().token_format(TokenFormat::Plain);
    names_are_refused(plain, odd.into_iter().chain(of_the_tutorials).collect()).await;
}

#[tokio::test]
async fn odd_but_legal_names_and_values_come_back_exactly() {
    let odd = ["ü".repeat(32), "a b".into(), "user:*".into(), "{x}\n".into(), "\0".into(), "__proto__".into()];
    on_each_store(async |place| {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let names = odd.clone();
            let attempt = async move |session: Session| {
                let first = session.get(Field::<String>::named("a b"))?.is_none();
                for name in &names {
                    let field: Field<String> = Field::named(name.clone());
                    if !first {
                        assert_eq!(session.get(field.clone())?.as_ref(), Some(name));
                    }
                    session.set(field, name)?;
                }
                Ok::<_, Error>(())
            };
            let browser = browser_at(&place.sessions_with(Config::builder().token_format(format)), attempt).await;
            browser.visit("/try").await;
            browser.visit("/try").await;
        }
    })
    .await;
}

#[tokio::test]
async fn with_plain_tokens_the_other_reserved_names_are_the_applications() {
    // alone as well: half a rotation must not be completed by a store that takes it for its own
    for alone in &reserved()[3..] {
        let attempt = async |session: Session| {
            let field: Field<String> = Field::named(*alone);
            assert!(session.get(field.clone())?.is_none_or(|text| text == *alone));
            session.set(field, *alone)
        };
        on_each_store(async |place| {
            let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
            let browser = browser_at(&sessions, attempt).await;
            browser.visit("/try").await;
            browser.visit("/try").await;
            let all = browser.at(Router::new().route("/all", get(all)).layer(sessions.layer()));
            let names = all.visit("/all").await.body;
            let mut expected = ["count", "created_at", "last_accessed_at", "name", "session_ttl", *alone];
            expected.sort_unstable();
            assert_eq!(names, expected.join(" "));
        })
        .await;
    }
    let attempt = async |session: Session| {
        for name in &reserved()[3..] {
            let field: Field<String> = Field::named(*name);
            assert!(session.get(field.clone())?.is_none_or(|text| text == *name));
            session.set(field, *name)?;
        }
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
        let browser = browser_at(&sessions, attempt).await;
        browser.visit("/try").await;
        browser.visit("/try").await;
    })
    .await;
}

#[tokio::test]
async fn the_129th_field_is_an_error_and_the_others_stay() {
    let attempt = async |session: Session| {
        let field = |i: usize| Field::<usize>::named(format!("f{i:03}"));
        let before = session.stored().iter().filter(|(name, _)| name.starts_with('f')).count();
        for i in before..126 {
            session.set(field(i), &i)?;
        }
        let error = session.set(field(126), &126).unwrap_err();
        assert!(error.is_invalid() && error.status() == 413);
        assert!(error.to_string().contains("`f126`") && error.to_string().contains("max_fields, 128"), "{error}");
        session.set(field(0), &0)?;
        // by the store: a counter is added to there
        session.commit().await?;
        let error = session.increment(Field::named("f126"), 1).await.unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("max_fields"), "{error}");
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        let browser = browser_at(&place.sessions(), attempt).await;
        browser.visit("/try").await;
        browser.visit("/try").await;
        let body = browser.visit("/stored").await.body;
        assert!(body.contains("\"f125\": \"125\"") && !body.contains("f126"), "{body}");
    })
    .await;
}

#[tokio::test]
async fn a_value_beyond_the_size_limit_is_an_error_and_the_earlier_one_stays() {
    let attempt = async |session: Session| {
        let error = session.set(NAME, "x".repeat(64 * 1024).as_str()).unwrap_err();
        assert!(error.is_invalid() && error.status() == 413);
        assert!(error.to_string().contains("`name`") && error.to_string().contains("max_bytes is 65536"), "{error}");
        assert_eq!(session.get(NAME)?.as_deref(), Some("andrew"));
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        let browser = browser_at(&place.sessions(), attempt).await;
        browser.visit("/try").await;
        assert_eq!(browser.visit("/stored").await.body, INTACT);
    })
    .await;
}

#[tokio::test]
async fn two_requests_that_each_fit_do_not_exceed_the_limit_together() {
    let half = async |session: Session| {
        session.set(NAME, "x".repeat(40 * 1024).as_str())?;
        session.commit().await
    };
    on_each_store(async |place| {
        let sessions = place.sessions();
        let other_half =
            async |session: Session| session.set(Field::<String>::named("other"), "x".repeat(40 * 1024).as_str());
        let (read, go_on) =
            (std::sync::Arc::new(tokio::sync::Notify::new()), std::sync::Arc::new(tokio::sync::Notify::new()));
        let (reached, went) = (read.clone(), go_on.clone());
        let slow = async move |session: Session| {
            reached.notify_one();
            went.notified().await;
            other_half(session).await
        };
        let browser = browser_at(&sessions, slow).await;
        let quick = browser.at(Router::new().route("/half", get(half)).layer(sessions.layer()));
        let (slow, _) = tokio::join!(browser.get("/try"), async {
            read.notified().await;
            quick.visit("/half").await;
            go_on.notify_one();
        });
        assert_eq!(slow.status, 413);
        assert!(!browser.visit("/stored").await.body.contains("other"));
    })
    .await;
}

#[tokio::test]
async fn a_session_larger_than_a_lowered_limit_may_shrink_but_not_grow() {
    let grow = async |session: Session| session.set(NAME, "x".repeat(1000).as_str());
    let shrink = async |session: Session| session.set(NAME, "x".repeat(500).as_str());
    on_each_store(async |place| {
        let browser = browser_at(&place.sessions(), grow).await;
        browser.visit("/try").await;
        let lowered = place.sessions_with(Config::builder().max_bytes(100).max_fields(1));
        let app =
            Router::new().route("/grow", get(async |session: Session| session.set(NAME, "x".repeat(2000).as_str())));
        let app = app.route("/shrink", get(shrink)).route("/stored", get(stored)).layer(lowered.layer());
        let browser = browser.at(app);
        assert_eq!(browser.get("/grow").await.status, 413);
        browser.visit("/shrink").await;
        let body = browser.visit("/stored").await.body;
        assert!(body.contains(&"x".repeat(500)) && !body.contains(&"x".repeat(501)), "{body}");
    })
    .await;
}

#[tokio::test]
async fn an_increment_that_makes_no_sense_is_an_error_and_the_field_stays() {
    let attempt = async |session: Session| {
        let error = session.increment(Field::named("name"), 1).await.unwrap_err();
        assert!(error.is_invalid() && error.status() == 500, "what is stored there is no visitor's doing");
        assert!(error.to_string().contains("`name` does not hold a whole number"), "{error}");
        let error = session.increment(COUNT, i64::MAX).await.unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("`count` would become larger or smaller"), "{error}");
        assert_eq!(error.status(), 400, "a visitor may have given the number");
        session.set(COUNT, &3)?;
        assert_eq!(session.increment(COUNT, i64::MAX).await.unwrap_err().status(), 400, "pending as well");
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        let browser = browser_at(&place.sessions(), attempt).await;
        browser.visit("/try").await;
        assert_eq!(browser.visit("/stored").await.body, INTACT);
    })
    .await;
}

#[tokio::test]
async fn a_pending_value_is_a_number_exactly_when_a_stored_one_is() {
    let odd = ["007", "+7", "-0", " 7", "7.0", "1e3", "", "9223372036854775808"];
    on_each_store(async |place| {
        let attempt = async move |session: Session| {
            for text in odd {
                let field = Field::<String>::named("odd");
                session.set(field, text)?;
                let pending = session.increment(Field::named("odd"), 1).await.map_err(|error| error.to_string());
                session.commit().await?;
                let stored = session.increment(Field::named("odd"), 1).await.map_err(|error| error.to_string());
                assert!(pending.is_err(), "{text:?}: {pending:?}");
                assert_eq!(pending, stored, "{text:?}");
            }
            Ok::<_, Error>(())
        };
        browser_at(&place.sessions(), attempt).await.visit("/try").await;
    })
    .await;
}

#[tokio::test]
async fn counters_reach_both_ends_of_64_bits() {
    let attempt = async |session: Session| {
        let field = || Field::<i64>::named("far");
        assert_eq!(session.increment(field(), i64::MAX).await?, i64::MAX);
        assert!(session.increment(field(), 1).await.unwrap_err().is_invalid());
        assert_eq!(session.increment(field(), i64::MIN).await?, -1);
        assert_eq!(session.increment(field(), i64::MIN + 1).await?, i64::MIN);
        assert!(session.increment(field(), -1).await.unwrap_err().is_invalid());
        assert_eq!(session.increment(field(), 0).await?, i64::MIN);
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        browser_at(&place.sessions(), attempt).await.visit("/try").await;
    })
    .await;
}

#[tokio::test]
async fn an_idle_timeout_that_cannot_be_is_an_error_that_names_the_limit() {
    let attempt = async |session: Session| {
        let before = session.idle_timeout();
        let cases = [
            (Duration::ZERO, "from 1 to 999999999"),
            (Duration::from_millis(1500), "whole number of seconds"),
            (Duration::MAX, "999999999"),
            (Duration::from_secs(u64::MAX), "999999999"),
            (Duration::from_secs(43201), "the absolute lifetime, 43200s"),
        ];
        for (idle, limit) in cases {
            let error = session.set_idle_timeout(idle).unwrap_err();
            assert!(error.is_invalid() && error.status() == 400 && error.to_string().starts_with("idle timeout "));
            assert!(error.to_string().contains(limit), "{error}");
        }
        session.commit().await?;
        assert_eq!(session.idle_timeout(), before);
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        browser_at(&place.sessions(), attempt).await.visit("/try").await;
    })
    .await;
}

#[tokio::test]
async fn a_value_that_would_not_come_back_is_an_error_that_says_why_and_changes_nothing() {
    fn nested(levels: usize) -> serde_json::Value {
        (0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]))
    }
    let attempt = async |session: Session| {
        let number: Field<f64> = Field::named("name");
        let numbers: Field<BTreeMap<String, Option<f32>>> = Field::named("name");
        let list: Field<Vec<f64>> = Field::named("list");
        let deep: Field<serde_json::Value> = Field::named("name");
        let nan = BTreeMap::from([("a".to_owned(), Some(f32::NAN))]);
        let errors = [
            (session.set(number.clone(), &f64::NAN).unwrap_err(), "NaN or an infinite number"),
            (session.set(number.clone(), &f64::NEG_INFINITY).unwrap_err(), "NaN or an infinite number"),
            (session.set(numbers, &nan).unwrap_err(), "NaN or an infinite number"),
            (session.update(number, |number| *number = f64::INFINITY).await.unwrap_err(), "NaN or an infinite number"),
            (session.push(list.clone(), &f64::NAN).unwrap_err(), "NaN or an infinite number"),
            (session.set(deep, &nested(128)).unwrap_err(), "deeper than 127 levels"),
            (
                session.push(Field::<Vec<serde_json::Value>>::named("list"), &nested(127)).unwrap_err(),
                "deeper than 127 levels",
            ),
        ];
        for (error, why) in errors {
            assert!(error.is_invalid() && error.status() == 400, "a visitor may have given it: {error}");
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.to_string().starts_with("field `name` ") || error.to_string().starts_with("field `list` "));
        }
        assert_eq!((session.get(NAME)?.as_deref(), session.get(list)?), (Some("andrew"), None));
        Ok::<_, Error>(())
    };
    let deepest = async |session: Session| {
        let deep: Field<serde_json::Value> = Field::named("deep");
        session.set(deep.clone(), &nested(127))?;
        session.push(Field::<Vec<serde_json::Value>>::named("list"), &nested(126))?;
        session.commit().await?;
        assert_eq!(session.try_get(deep)?, Some(nested(127)));
        assert_eq!(session.try_get(Field::<Vec<serde_json::Value>>::named("list"))?, Some(vec![nested(126)]));
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let sessions = place.sessions_with(Config::builder().token_format(format));
            let browser = browser_at(&sessions, attempt).await;
            browser.visit("/try").await;
            assert_eq!(browser.visit("/stored").await.body, INTACT);
            browser_at(&sessions, deepest).await.visit("/try").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_no_json_is_an_error_that_names_the_field() {
    let attempt = async |session: Session| {
        let field: Field<BTreeMap<(u8, u8), u8>> = Field::named("pairs");
        let error = session.set(field, &BTreeMap::from([((1, 2), 3)])).unwrap_err();
        assert!(error.is_invalid() && error.status() == 500, "no visitor chooses the type");
        assert!(error.to_string().contains("`pairs` cannot be written as JSON"), "{error}");
    };
    let browser = browser_at(&Place::memory().sessions(), attempt).await;
    browser.visit("/try").await;
    assert_eq!(browser.visit("/stored").await.body, INTACT);
}
