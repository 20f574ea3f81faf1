//! Adding to counters.
#![allow(missing_docs)] // the names say it

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::Fixture;
use super::given::{add, fields, given, set};

pub async fn a_counter_starts_at_zero_and_may_fall_below<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    for (by, text) in [(0, "0"), (3, "3"), (-5, "-2"), (2, "0"), (0, "0")] {
        let made = given.apply(&presented, &add("n", by)).await.made();
        assert_eq!(&made.record.fields["n"], text);
        assert_eq!(given.fields(&presented).await, fields(&[("n", text)]));
    }
}

pub async fn hundreds_of_adds_at_once_add_up_exactly<F: Fixture>(fixture: &F) {
    const TASKS: i64 = 20;
    const ADDS: i64 = 25;
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let given = given.clone();
        tasks.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..ADDS {
                let mut change = add("ones", 1);
                change.fields_mut().add.insert("many".to_owned(), task - 3);
                let answer = given.apply(&presented, &change).await.made();
                seen.push(answer.record.fields["ones"].parse::<i64>().expect("a number"));
            }
            seen
        });
    }
    // no two adds get the same answer: each add is told the value that it made itself
    let seen: BTreeSet<i64> = tasks.join_all().await.concat().into_iter().collect();
    assert_eq!(seen, (1..=TASKS * ADDS).collect());
    let many = ADDS * (0..TASKS).map(|task| task - 3).sum::<i64>();
    let expected = [("many".to_owned(), many.to_string()), ("ones".to_owned(), (TASKS * ADDS).to_string())];
    assert_eq!(given.fields(&presented).await, expected.into());
}

pub async fn a_counter_is_exact_in_all_its_64_bits<F: Fixture>(fixture: &F) {
    const FLOAT_END: i64 = 1 << 53;
    let given = given(fixture).await;
    let cases = [
        (FLOAT_END, 1),
        (FLOAT_END + 1, FLOAT_END),
        (-FLOAT_END, -1),
        (i64::MAX - 1, 1),
        (i64::MIN + 1, -1),
        (i64::MIN, i64::MAX),
        (i64::MAX, i64::MIN),
        (0, i64::MIN),
        (0, i64::MAX),
        (-1, i64::MIN + 1),
        (i64::MAX, 0),
    ];
    for (before, by) in cases {
        let presented = given.session(&[("n", &before.to_string())]).await;
        let made = given.apply(&presented, &add("n", by)).await.made();
        assert_eq!(made.record.fields["n"], (before + by).to_string());
        assert_eq!(given.record(&presented).await, made.record);
    }
}

pub async fn an_overflow_is_refused_and_changes_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for (before, by) in [(i64::MAX, 1), (i64::MIN, -1), (1, i64::MAX), (-1, i64::MIN), (i64::MIN, i64::MIN)] {
        let presented = given.session(&[("n", &before.to_string()), ("a", "1")]).await;
        let mut change = add("n", by).of_a_request();
        change.fields_mut().set = fields(&[("a", "2")]);
        let record = given.record(&presented).await;
        assert_eq!(given.apply(&presented, &change).await.invalid_field(), "n", "{before} + {by}");
        assert_eq!(given.record(&presented).await, record);
    }
}

pub async fn what_is_no_whole_number_is_not_added_to<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let texts = [
        "",
        "andrew",
        "007",
        "00",
        "+7",
        "-0",
        "-",
        " 7",
        "7 ",
        "7\n",
        "7\0",
        "1.0",
        "1e3",
        "0x10",
        "1_000",
        "٣",
        "\"3\"",
        "true",
        "nan",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "100000000000000000000000",
    ];
    for text in texts {
        let presented = given.session(&[("n", text)]).await;
        assert_eq!(given.apply(&presented, &add("n", 1)).await.invalid_field(), "n", "{text:?}");
        assert_eq!(given.apply(&presented, &add("n", 0)).await.invalid_field(), "n", "{text:?}");
        assert_eq!(given.fields(&presented).await, fields(&[("n", text)]));
    }
}

pub async fn one_refused_counter_undoes_the_whole_change<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    // in whatever order a store goes through the counters, some come before the refused one and some after it
    let presented = given.session(&[("a", "1"), ("m", "text"), ("z", "1"), ("s", "old")]).await;
    let before = given.record(&presented).await;
    let mut change = set("s", "new");
    change.fields_mut().add = ["a", "b", "m", "y", "z"].map(|name| (name.to_owned(), 1)).into();
    assert_eq!(given.apply(&presented, &change).await.invalid_field(), "m");
    assert_eq!(given.record(&presented).await, before);
}
