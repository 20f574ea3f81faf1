//! Browsers that bring more than one token: the cookie's path or domain was changed, or somebody planted one.

use super::app::{app, id_of, signed_in};
use crate::support::{Answer, Browser, Fault, on_each_store};

/// Asks with all these tokens.
async fn ask(browser: &Browser, tokens: &[&str], path: &str) -> Answer {
    let cookies: Vec<_> = tokens.iter().map(|token| format!("__Host-sid={token}")).collect();
    browser.send(path, Some(&cookies.join("; "))).await
}

fn nobodys(letter: &str) -> String {
    format!("{}.{}", letter.repeat(21) + "A", "A".repeat(43))
}

#[tokio::test]
async fn the_one_token_that_opens_a_session_is_taken_wherever_it_stands_among_four() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        let token = browser.token().unwrap();
        let others = ["B", "C", "D", "E"].map(nobodys);
        let [b, c, d, e] = others.each_ref().map(String::as_str);
        for tokens in [[&*token, b, c, d], [b, &token, c, d], [b, c, &token, d], [b, c, d, &token]] {
            assert_eq!(ask(&browser, &tokens, "/whoami").await.body, "anna", "{tokens:?}");
        }
        place.store.asked();
        assert_eq!(ask(&browser, &[b, c, d, e, &token], "/whoami").await.body, "nobody", "a fifth is not looked at");
        assert_eq!(place.store.asked(), ["load"; 4]);
        // what it writes is the session's, and signing out ends it
        assert_eq!(ask(&browser, &[b, &token], "/write/cart/full").await.status, 200);
        assert_eq!(browser.visit("/read/cart").await.body, "full");
        assert_eq!(ask(&browser, &[b, &token], "/sign_out").await.status, 200);
        assert_eq!(browser.visit("/whoami").await.body, "nobody");
    })
    .await;
}

#[tokio::test]
async fn after_a_sign_in_the_next_page_is_signed_in_although_an_old_cookie_is_still_there() {
    on_each_store(async |place| {
        let app = app(&place.sessions());
        let planted = Browser::new(app);
        planted.visit("/write/cart/theirs").await;
        let theirs = planted.token().unwrap();
        for old in [nobodys("B"), theirs.clone()] {
            let browser = planted.stranger();
            browser.visit("/write/cart/full").await;
            let mine = browser.token().unwrap();
            let answer = ask(&browser, &[&old, &mine], "/sign_in/anna").await;
            assert_eq!(answer.status, 200);
            let new = answer.token().unwrap();
            for tokens in [[&*old, &new], [&new, &old]] {
                assert_eq!(ask(&browser, &tokens, "/whoami").await.body, "anna");
            }
            if old == theirs {
                assert_eq!(planted.visit("/read/cart").await.body, "", "what was ambiguous has ended");
                assert_eq!(ask(&browser, &[&new], "/read/cart").await.body, "", "and nothing of it was taken over");
            }
            assert_eq!(ask(&browser, &[&old, &new], "/sign_out_everywhere").await.body, "1");
        }
    })
    .await;
}

#[tokio::test]
async fn where_two_tokens_open_sessions_a_sign_out_ends_both() {
    on_each_store(async |place| {
        let app = app(&place.sessions());
        let anna = signed_in(Browser::new(app.clone()), "anna").await;
        let bert = signed_in(Browser::new(app), "bert").await;
        let tokens = [anna.token().unwrap(), bert.token().unwrap()];
        let tokens = tokens.each_ref().map(String::as_str);
        assert_eq!(ask(&anna, &tokens, "/whoami").await.body, "nobody");
        assert_eq!(ask(&anna, &tokens, "/account").await.status, 401);
        assert!(anna.visit("/whoami").await.body == "anna" && bert.visit("/whoami").await.body == "bert");

        let answer = ask(&anna, &tokens, "/sign_out").await;
        assert_eq!(answer.status, 200);
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"));
        for browser in [anna, bert] {
            assert_eq!(browser.visit("/whoami").await.body, "nobody");
        }
    })
    .await;
}

#[tokio::test]
async fn where_three_tokens_open_sessions_none_is_taken() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        let mut tokens = Vec::new();
        for user in ["anna", "bert", "mallory"] {
            tokens.push(signed_in(browser.stranger(), user).await.token().unwrap());
        }
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        assert_eq!(ask(&browser, &tokens, "/whoami").await.body, "nobody", "the last one is not taken either");
        assert_eq!(ask(&browser, &tokens, "/sign_out").await.status, 200);
        for token in tokens {
            assert_eq!(ask(&browser, &[token], "/whoami").await.body, "nobody");
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_that_fails_for_one_of_two_tokens_leaves_the_cookies() {
    on_each_store(async |place| {
        for faults in [[Fault::Away, Fault::NotDurable], [Fault::NotDurable, Fault::Away]] {
            let browser = Browser::new(app(&place.sessions()));
            let anna = signed_in(browser.stranger(), "anna").await.token().unwrap();
            let bert = signed_in(browser.stranger(), "bert").await.token().unwrap();
            place.store.faults_in_turn("revoke", &faults);
            let answer = ask(&browser, &[&anna, &bert], "/sign_out").await;
            place.store.heal();
            let error = answer.error.as_ref().unwrap();
            assert!(error.is_store() && !error.is_not_durable(), "one session is still live: {error}");
            assert_eq!(answer.set_cookie(), None, "{faults:?}");
            assert_eq!(ask(&browser, &[&anna, &bert], "/sign_out").await.status, 200, "and can be asked again");
            for token in [anna, bert] {
                assert_eq!(ask(&browser, &[&token], "/whoami").await.body, "nobody");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_with_two_tokens_that_open_nothing_is_a_success() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        let (id, token) = (id_of(&browser), browser.token().unwrap());
        browser.visit("/sign_out").await;
        let answer = ask(&browser, &[&token, &nobodys("B")], "/sign_out").await;
        assert_eq!(answer.status, 200, "{id}");
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"));
    })
    .await;
}
