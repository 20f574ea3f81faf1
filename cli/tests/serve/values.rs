//! The values of fields are the same for applications in Rust and for those that ask the service.

use std::time::Duration;

use cloakroom::store::Redis;
use cloakroom::{Config, Field, Sessions};
use serde_json::{Value, json};

use crate::support::redis_server::RedisServer;
use crate::support::service::{Caller, service_on};

/// Values that a program could easily take for others.
const VALUES: [&str; 21] = [
    "0",
    "-1",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551615",
    "340282366920938463463374607431768211455",
    "0.1",
    "1.0",
    "1e300",
    "-0.0",
    "2.2250738585072014e-308",
    "null",
    "true",
    r#""""#,
    r#""3""#,
    r#""null""#,
    r#"" {} ""#,
    r#""{\"a\":1}""#,
    r#""Zoë \u0000 \"quoted\" 𝄞""#,
    r#"[[],{},[null,"x",0.30000000000000004]]"#,
    r#"{"b":9007199254740993,"a":{"":null}}"#,
];

fn on_redis(test: impl AsyncFnOnce(Sessions, Caller)) {
    let redis = RedisServer::start();
    let service = service_on(&redis, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store =
            Redis::builder(redis.url()).timeout(Duration::from_secs(10)).connect().await.expect("Redis answers");
        test(Sessions::new(store, Config::default()), Caller::of(&service)).await;
    });
}

/// The text of a field in an answer, to the digit.
fn text_of<'a>(body: &'a str, name: &str) -> &'a str {
    let (_, after) = body.split_once(&format!("\"{name}\":")).expect("the field is there");
    let mut values = serde_json::Deserializer::from_str(after).into_iter::<serde::de::IgnoredAny>();
    values.next().expect("a value").expect("JSON");
    &after[..values.byte_offset()]
}

#[test]
fn what_the_service_stores_an_application_in_rust_reads() {
    on_redis(async |sessions, mut caller| {
        for (place, json) in VALUES.into_iter().enumerate() {
            let body = format!(r#"{{"set": {{"value": {json}, "place": {place}}}}}"#);
            let answer = caller.ask("PATCH", "/v1/session", &body);
            assert_eq!(answer.status, 200, "{json}: {}", answer.body);
            assert_eq!(text_of(&answer.body, "value"), json);
            let token = caller.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a cookie").1;
            let live = sessions.find_by_token(token).await.expect("Redis answers").expect("the session lives");
            let expected: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(live.try_get(Field::<Value>::new("value")).expect("readable"), Some(expected), "{json}");
            assert_eq!(live.try_get(Field::<usize>::new("place")).expect("readable"), Some(place));
            if let Ok(string) = serde_json::from_str::<String>(json) {
                assert_eq!(live.try_get(Field::<String>::new("value")).expect("readable"), Some(string));
            }
            if let Ok(number) = serde_json::from_str::<u128>(json) {
                assert_eq!(live.try_get(Field::<u128>::new("value")).expect("readable"), Some(number));
            }
        }
    });
}

#[test]
fn what_an_application_in_rust_stores_the_service_reads() {
    on_redis(async |sessions, mut caller| {
        let (token, live) = sessions.create().set(Field::<u128>::new("wide"), &u128::MAX).await.expect("a session");
        live.set(Field::<String>::new("digits"), "42").await.expect("set");
        live.set(Field::<f64>::new("third"), &(1.0 / 3.0)).await.expect("set");
        live.set(Field::<Option<String>>::new("nothing"), &None::<String>).await.expect("set");
        live.set(Field::<char>::new("letter"), &'x').await.expect("set");
        live.increment(Field::new("count"), i64::MIN).await.expect("set");
        for (place, json) in VALUES.into_iter().enumerate() {
            let value: Value = serde_json::from_str(json).expect("JSON");
            live.set(Field::<Value>::named(format!("value{place}")), &value).await.expect("set");
        }
        caller.cookie = Some(format!("__Host-sid={}", token.expose()));
        let answer = caller.get("/v1/session");
        let session = answer.ok();
        assert_eq!(session["id"], live.id().to_string(), "the cookie has this name: {session}");
        let fields = &session["fields"];
        assert_eq!(text_of(&answer.body, "wide"), u128::MAX.to_string());
        assert_eq!(fields["digits"], "42");
        assert_eq!(fields["third"], json!(1.0 / 3.0));
        assert_eq!((&fields["nothing"], &fields["letter"]), (&Value::Null, &json!("x")));
        assert_eq!(fields["count"], i64::MIN);
        for (place, json) in VALUES.into_iter().enumerate() {
            let value: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(fields[format!("value{place}")], value, "{json}");
        }
    });
}
