//! Each call into the store is a span that names the session and never a secret.

use cloakroom::{Config, SessionId, TokenFormat};
use tracing::Level;
use tracing::subscriber::set_default;

use super::heard::app;
use crate::support::{Browser, Capture, Fault, on_each_store};

#[tokio::test]
async fn a_span_says_which_verb_which_session_and_what_came_of_it() {
    on_each_store(async |place| {
        let capture = Capture::default();
        let _listening = set_default(capture.subscriber());
        let sessions = place.sessions();
        let browser = Browser::new(app(&sessions));
        browser.visit("/write").await;
        let token = browser.token().unwrap();
        let (id, secret) = token.split_once('.').unwrap();
        browser.visit("/read").await;
        let by_id = SessionId::parse(id).unwrap();
        assert!(sessions.find(&by_id).await.unwrap().is_some());
        browser.visit("/sign_out").await;
        assert!(!sessions.revoke(&by_id).await.unwrap() && sessions.find(&by_id).await.unwrap().is_none());
        browser.send("/read", Some(&format!("__Host-sid={token}"))).await;
        place.store.fault("load", Fault::Away);
        browser.send("/read", Some(&format!("__Host-sid={token}"))).await;
        for (verb, outcome, times) in [
            ("create", "done", 1),
            ("load", "live", 3),
            ("revoke", "done", 2),
            ("load", "gone", 2),
            ("load", "not_done", 1),
        ] {
            let span =
                format!("store{{verb=\"{verb}\" session={id} outcome=\"{outcome}\"}}: cloakroom: the store was asked");
            assert_eq!(capture.count(&span), times, "{span} in\n{}", capture.text());
        }
        assert!(!capture.text().contains(secret));
    })
    .await;
}

#[tokio::test]
async fn a_span_says_why_the_store_refused_a_change() {
    on_each_store(async |place| {
        let capture = Capture::default();
        let _listening = set_default(capture.subscriber());
        let browser = Browser::new(app(&place.sessions_with(Config::builder().max_fields(1))));
        browser.visit("/write").await;
        for (path, status, outcome) in [("/count", 413, "too_large"), ("/miscount", 500, "invalid")] {
            assert_eq!(browser.get(path).await.status, status, "{path}");
            assert_eq!(capture.count(&format!("outcome=\"{outcome}\"")), 1, "{path}: {}", capture.text());
        }
    })
    .await;
}

#[tokio::test]
async fn of_a_plain_token_a_span_shows_eight_characters() {
    on_each_store(async |place| {
        let capture = Capture::default();
        let _listening = set_default(capture.subscriber());
        let browser = Browser::new(app(&place.sessions_with(Config::builder().token_format(TokenFormat::Plain))));
        browser.visit("/write").await;
        browser.visit("/read").await;
        let token = browser.token().unwrap();
        assert_eq!(capture.count(&format!("store{{verb=\"load\" session={}", &token[..8])), 1, "{}", capture.text());
        assert!(!capture.text().contains(&token[..9]));
    })
    .await;
}

#[tokio::test]
async fn above_its_level_there_is_no_span() {
    on_each_store(async |place| {
        let capture = Capture::default();
        let _listening = set_default(capture.subscriber_at(Level::INFO));
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        browser.visit("/read").await;
        assert!(capture.text().contains("Created"));
        assert!(!capture.text().contains("store{"), "{}", capture.text());
    })
    .await;
}
