//! Names and values of any text.
#![allow(missing_docs)] // the names say it

use super::Fixture;
use super::given::{add, fields, given, remove, set};
use crate::record::Fields;

const STRANGE: [&str; 30] = [
    " ",
    "\0",
    "a\0b",
    "\n",
    "\r\n",
    "two\r\nlines\r\n",
    "$5\r\nhello\r\n",
    "*",
    "*1",
    "?",
    "[a-z]",
    "{x}",
    "{}",
    "%",
    "%s%n%d",
    "'",
    "\"",
    "\\",
    "\\0",
    "'; DROP TABLE sessions; --",
    "$(reboot)",
    "__proto__",
    "constructor",
    "nil",
    "null",
    "-1",
    "ключ",
    "🧥🎟️",
    "e\u{301}",
    "\u{202e}\u{feff}\u{10ffff}",
];

pub async fn strange_names_and_values_come_back_as_they_went_in<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let all: Fields = STRANGE.iter().zip(STRANGE.iter().rev()).collect();
    let stored: Vec<(&str, &str)> = all.iter().collect();

    let at_once = given.session(&stored).await;
    assert_eq!(given.fields(&at_once).await, all);

    let one_by_one = given.session(&[]).await;
    for (name, text) in all.iter() {
        given.apply(&one_by_one, &set(name, text)).await.made();
    }
    assert_eq!(given.fields(&one_by_one).await, all);
}

pub async fn every_kind_of_change_works_on_a_strange_name<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("stays", "1")]).await;
    for name in STRANGE {
        given.apply(&presented, &add(name, 7)).await.made();
        given.apply(&presented, &add(name, -9).expecting(name, Some("7"))).await.made();
        assert_eq!(&given.fields(&presented).await[name], "-2");
        given.apply(&presented, &set(name, name).expecting(name, Some("-2"))).await.made();
        given.apply(&presented, &set("seen", "1").expecting(name, Some(name))).await.made();
        given.apply(&presented, &remove(name)).await.made();
        given.apply(&presented, &remove("seen").expecting(name, None)).await.made();
        assert_eq!(given.fields(&presented).await, fields(&[("stays", "1")]), "{name:?}");
    }
}

pub async fn text_that_looks_like_a_number_stays_as_it_is<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let texts =
        ["007", "1.0", "1e9", "-0", " 3", "+3", "9007199254740993", "99999999999999999999", "nan", "inf", "true"];
    let presented = given.session(&[]).await;
    for text in texts {
        given.apply(&presented, &set("n", text)).await.made();
        given.apply(&presented, &add("other", 1).expecting("n", Some(text))).await.made();
        assert_eq!(&given.fields(&presented).await["n"], text);
    }
}

pub async fn a_value_of_64_kib_comes_back_whole<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    given.terms.max_bytes = 256 * 1024;
    let long: String = "every byte counts \0\n".chars().cycle().take(64 * 1024).collect();
    let presented = given.session(&[("made", &long)]).await;
    given.apply(&presented, &set("set", &long).expecting("made", Some(&long))).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[("made", &long), ("set", &long)]));
}
