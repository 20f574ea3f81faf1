//! The guide's walk with curl, as it stands.

use std::process::Command;

use serde_json::{Deserializer, Value};

use crate::support::service::service;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/service.md");
/// What differs from session to session.
const VARYING: [&str; 7] =
    ["id", "created_at", "signed_in_at", "auth_time", "last_seen_at", "expires_at", "expires_in"];

/// The blocks of this language, in the chapter with the walk.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let (_, walk) = page.split_once("\n## One session with curl\n").expect("the chapter");
    let (walk, _) = walk.split_once("\n## ").expect("the next chapter");
    let opening = format!("```{language}\n");
    walk.split(&opening).skip(1).map(|rest| rest.split_once("```").expect("the block ends").0).collect()
}

/// The values one after the other, without what varies.
fn values(text: &str) -> Vec<Value> {
    let values = Deserializer::from_str(text).into_iter::<Value>();
    values.map(|value| without_varying(value.unwrap_or_else(|error| panic!("{error}: {text}")))).collect()
}

fn without_varying(value: Value) -> Value {
    match value {
        Value::Object(entries) => entries
            .into_iter()
            .map(|(name, value)| match VARYING.contains(&name.as_str()) {
                true => (name, Value::Null),
                false => (name, without_varying(value)),
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(without_varying).collect(),
        other => other,
    }
}

#[test]
fn the_walk_with_curl_answers_as_the_guide_says() {
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let (commands, answers) = (blocks(&page, "sh"), blocks(&page, "json"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let service = service(&["--store", directory.path().join("sessions").to_str().expect("UTF-8")]);
    // the first block starts the service
    assert!(commands[0].starts_with("cloakroom serve ") && commands.len() == answers.len() + 1 && answers.len() > 5);
    for (commands, answer) in commands[1..].iter().zip(answers) {
        let commands = commands.replace("http://127.0.0.1:8090", &service.url(""));
        let done = Command::new("bash").args(["-ec", &commands]).current_dir(&directory).output();
        let done = done.unwrap_or_else(|error| panic!("bash: {error}"));
        let said = String::from_utf8(done.stdout).expect("UTF-8");
        assert!(done.status.success(), "{commands}{said}{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(values(&said), values(answer), "{commands}");
    }
}
