//! How large a session may get.
#![allow(missing_docs)] // the names say it

use super::Fixture;
use super::given::{Given, add, fields, given, remove, set};
use crate::record::Credentials;
use crate::store::Store;

/// A session with as many fields as the terms allow.
async fn full<S: Store>(given: &Given<S>) -> Credentials {
    let names: Vec<String> = (0..given.terms.max_fields).map(|i| format!("field {i}")).collect();
    let stored: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    given.session(&stored).await
}

pub async fn one_field_too_many_is_refused_and_the_others_stay<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = full(&given).await;
    let before = given.record(&presented).await;
    assert_eq!(before.fields.len(), 128);

    let mut change = set("field 3", "2").of_a_request();
    change.fields_mut().set.insert("field 128", "");
    assert_eq!(given.apply(&presented, &change).await.invalid_field(), "session");
    assert_eq!(given.record(&presented).await, before);

    given.apply(&presented, &set("field 3", "2")).await.made();
}

pub async fn one_byte_too_many_is_refused_and_the_others_stay<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    // bytes, not characters: each of these has two; names count as well
    let rest = "ä".repeat((given.terms.max_bytes - 4) / 2);
    given.apply(&presented, &set("ä", &rest)).await.made();
    let before = given.record(&presented).await;
    for change in [set("a", "12"), set("b", ""), add("b", 1)] {
        assert_eq!(given.apply(&presented, &change).await.invalid_field(), "session");
        assert_eq!(given.record(&presented).await, before);
    }
    given.apply(&presented, &remove("a")).await.made();
    given.apply(&presented, &set("b", "1")).await.made();
}

pub async fn a_counter_beyond_the_limits_is_undone<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    let presented = full(&given).await;
    let before = given.record(&presented).await;
    let mut both = add("field 1", 1);
    both.fields_mut().add.insert("one more".to_owned(), 1);
    assert_eq!(given.apply(&presented, &both).await.invalid_field(), "session");
    assert_eq!(given.record(&presented).await, before);

    given.terms.max_bytes = 4;
    let presented = given.session(&[("n", "9"), ("m", "1")]).await;
    let mut both = add("n", 1);
    both.fields_mut().add.insert("m".to_owned(), 1);
    assert_eq!(given.apply(&presented, &both).await.invalid_field(), "session");
    assert_eq!(given.fields(&presented).await, fields(&[("m", "1"), ("n", "9")]));
    given.apply(&presented, &add("n", -1)).await.made();
}

pub async fn a_full_session_may_swap_a_field_for_another<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = full(&given).await;
    let mut delta = set("new", "1");
    delta.fields_mut().remove = ["field 0".to_owned()].into();
    given.apply(&presented, &delta).await.made();
    let mut delta = add("newer", 1);
    delta.fields_mut().remove = ["field 1".to_owned()].into();
    given.apply(&presented, &delta).await.made();
    assert_eq!(given.fields(&presented).await.len(), 128);
}

pub async fn a_session_that_is_too_large_may_change_and_shrink_but_not_grow<F: Fixture>(fixture: &F) {
    let mut given = given(fixture).await;
    let presented = given.session(&[("a", "12345"), ("b", "12345"), ("c", "12345"), ("n", "5")]).await;
    // the operator has lowered the limits since
    (given.terms.max_fields, given.terms.max_bytes) = (2, 8);
    let mut longer = set("a longer name", "");
    longer.fields_mut().remove = ["c".to_owned()].into();
    for change in [set("d", ""), set("a", "123456"), add("m", 1), add("n", 5), longer] {
        let before = given.record(&presented).await;
        assert_eq!(given.apply(&presented, &change).await.invalid_field(), "session");
        assert_eq!(given.record(&presented).await, before);
    }
    for change in [set("a", "54321"), add("n", 1), set("b", ""), remove("c")] {
        given.apply(&presented, &change).await.made();
    }
    let mut swap = set("d", "5432");
    swap.fields_mut().remove = ["a".to_owned()].into();
    given.apply(&presented, &swap).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[("b", ""), ("d", "5432"), ("n", "6")]));
}
