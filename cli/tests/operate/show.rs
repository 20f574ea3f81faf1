//! One session.

use crate::support::operator::House;

#[test]
fn a_session_is_shown_with_everything_but_its_secret() {
    let house = House::open();
    let id = house.signed_in("andrew");
    let said = house.run(&["show", &id.to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
    for shown in [id.expose(), "andrew", "Firefox on Linux", "192.0.2.7", "30 min", "(hidden)", "views"] {
        assert!(said.stdout.contains(shown), "{shown}: {}", said.stdout);
    }
    let json = house.run(&["show", id.expose(), "--json"]);
    assert_eq!(json.code, 0, "{json:?}");
    assert_eq!(json.json()["user"], "andrew");
    assert_eq!(json.json()["fields"]["views"], "1");
    assert!((1790..=1800).contains(&json.json()["remaining_seconds"].as_u64().expect("a number")), "{json:?}");
    let secret_hash = house.secret_hash_of(&id);
    assert!(!said.all().contains(&secret_hash) && !json.all().contains(&secret_hash));
}

#[test]
fn an_id_that_begins_with_a_hyphen_is_no_flag() {
    let house = House::open();
    for id in ["-OAAAAAAAAAAAAAAAAAAAA", "-hAAAAAAAAAAAAAAAAAAAA", "--AAAAAAAAAAAAAAAAAAAA"] {
        for verb in ["show", "revoke"] {
            let said = house.run(&[verb, id, "--json"]);
            assert!(said.code == 3 && said.stderr.contains(id), "{said:?}");
        }
    }
}

#[test]
fn a_missing_session_is_exit_code_3() {
    let house = House::open();
    let said = house.run(&["show", "AAAAAAAAAAAAAAAAAAAAAA"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("there is no session AAAAAAAAAAAAAAAAAAAAAA") && said.stdout.is_empty(), "{said:?}");
}

#[test]
fn a_token_that_was_pasted_is_refused_and_not_repeated() {
    let house = House::open();
    let secret = "z".repeat(42) + "0";
    let cases = [format!("AAAAAAAAAAAAAAAAAAAAAA.{secret}"), secret.clone()];
    for token in &cases {
        for verb in ["show", "revoke"] {
            let said = house.run(&[verb, token]);
            assert_eq!(said.code, 2, "{said:?}");
            assert!(said.stderr.contains("secret") && !said.all().contains(&secret[..9]), "{said:?}");
        }
    }
    assert_eq!(house.run(&["show", "andrew"]).code, 2);
}

#[test]
fn what_an_application_stored_cannot_steer_the_terminal() {
    let house = House::open();
    let id = house.visitor_with(&["name", "\u{1b}]0;pwned\u{7}\r\n\u{202e}andrew"]);
    let said = house.run(&["show", id.expose()]);
    assert!(said.stdout.contains(r"\u{1b}]0;pwned\u{7}\r\n\u{202e}andrew"), "{said:?}");
    assert!(!said.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']));
}

#[test]
fn a_plain_token_is_named_and_shown_by_its_first_eight_characters() {
    let house = House::open();
    let id = house.plain();
    let start = &id.expose()[..8];
    for named in [start.to_owned(), format!("{start}…")] {
        let said = house.run(&["show", &named, "--plain-tokens"]);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.contains(&format!("{start}…")) && !said.all().contains(&id.expose()[..9]), "{said:?}");
    }
    let whole = house.run(&["show", id.expose(), "--plain-tokens"]);
    assert!(whole.code == 2 && !whole.all().contains(&id.expose()[..9]), "{whole:?}");
    let nobody = house.run(&["show", "AAAAAAAA", "--plain-tokens"]);
    assert_eq!(nobody.code, 3, "{nobody:?}");
}
