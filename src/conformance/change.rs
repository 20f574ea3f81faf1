//! Changing fields: set, remove, expect.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use tokio::task::JoinSet;

use super::given::{add, fields, given, idle, nothing, remove, set};
use super::{Fixture, mint, with_new_secret};
use crate::record::{Change, FieldChanges, Refusal};
use crate::store::Outcome;

pub async fn fields_are_set_and_removed_and_the_others_stay<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1"), ("b", "2"), ("c", "3"), ("n", "10")]).await;
    let delta = FieldChanges {
        set: fields(&[("b", "two"), ("d", "four")]),
        remove: ["a".to_owned()].into(),
        add: [("n".to_owned(), 5)].into(),
        ..FieldChanges::default()
    };
    let made = given.apply(&presented, &delta.into()).await.made().record;
    assert_eq!(made.fields, fields(&[("b", "two"), ("c", "3"), ("d", "four"), ("n", "15")]));
    assert_eq!(given.record(&presented).await, made);
}

pub async fn removing_what_is_not_there_is_no_error<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    given.apply(&presented, &remove("b")).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[("a", "1")]));
}

pub async fn the_last_field_can_be_removed<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    given.apply(&presented, &remove("a")).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[]));
    given.apply(&presented, &add("n", 1)).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[("n", "1")]));
}

pub async fn thousands_of_names_can_be_removed_at_once<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("field 7", "1"), ("stays", "1")]).await;
    let delta = FieldChanges {
        remove: (0..10_000).map(|i| format!("field {i}")).collect(),
        add: [("n".to_owned(), 1)].into(),
        ..FieldChanges::default()
    };
    given.apply(&presented, &delta.into()).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[("n", "1"), ("stays", "1")]));
}

pub async fn an_empty_change_changes_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1")]).await;
    let before = given.record(&presented).await;
    assert_eq!(given.apply(&presented, &nothing()).await.made().record, before);
    assert_eq!(given.record(&presented).await, before);
}

pub async fn an_expectation_that_holds_lets_the_change_through<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1"), ("empty", "")]).await;
    let change = set("a", "2").expecting("a", Some("1")).expecting("b", None).expecting("empty", Some(""));
    given.apply(&presented, &change).await.made();
    given.apply(&presented, &add("b", 1).expecting("b", None).expecting("a", Some("2"))).await.made();
    assert_eq!(given.fields(&presented).await, fields(&[("a", "2"), ("b", "1"), ("empty", "")]));
}

pub async fn an_expectation_that_fails_changes_nothing_at_all<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("a", "1"), ("empty", ""), ("n", "1")]).await;
    let before = given.record(&presented).await;
    let everything = FieldChanges {
        set: fields(&[("x", "new")]),
        remove: ["a".to_owned()].into(),
        add: [("n".to_owned(), 1), ("m".to_owned(), 1)].into(),
        idle_timeout: Some(Duration::from_secs(60)),
        ..FieldChanges::default()
    };
    let save = Change::from(everything).of_a_request();
    let rotation = save.clone().rotating_to(&with_new_secret(&presented));
    let broken: [(&str, Option<&str>); 5] =
        [("a", Some("2")), ("a", None), ("b", Some("")), ("empty", None), ("n", Some("01"))];
    for (name, text) in broken {
        for change in [&save, &rotation] {
            let change = change.clone().expecting("empty", Some("")).expecting(name, text);
            assert_eq!(given.apply(&presented, &change).await, Outcome::Refused(Refusal::Conflict), "{name} {text:?}");
            assert_eq!(given.record(&presented).await, before);
        }
    }
}

pub async fn a_wrong_secret_changes_nothing<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let owner = given.session(&[("a", "1")]).await;
    let before = given.record(&owner).await;
    let thief = with_new_secret(&owner);
    for change in [set("a", "2").of_a_request(), add("n", 1), remove("a"), idle(Duration::from_secs(60))] {
        assert_eq!(given.apply(&thief, &change).await, Outcome::Refused(Refusal::Gone));
    }
    let takeover = set("a", "2").rotating_to(&with_new_secret(&owner));
    assert_eq!(given.apply(&thief, &takeover).await, Outcome::Refused(Refusal::Gone));
    assert_eq!(given.record(&owner).await, before);
}

pub async fn a_change_makes_no_session<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let nobody = mint();
    let takeover = set("a", "1").rotating_to(&nobody);
    assert_eq!(given.apply(&nobody, &takeover).await, Outcome::Refused(Refusal::Gone));
    given.assert_gone(&nobody).await;
}

pub async fn different_fields_from_many_tasks_all_win<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let mut tasks = JoinSet::new();
    for i in 0..100 {
        let given = given.clone();
        tasks.spawn(async move {
            let name = format!("field {i}");
            given.apply(&presented, &set(&name, "early")).await.made();
            tokio::task::yield_now().await;
            given.apply(&presented, &set(&name, &i.to_string())).await.made();
        });
    }
    tasks.join_all().await;
    let expected = (0..100).map(|i| (format!("field {i}"), i.to_string())).collect();
    assert_eq!(given.fields(&presented).await, expected);
}

pub async fn of_many_with_the_same_expectation_one_wins<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[]).await;
    let mut tasks = JoinSet::new();
    for i in 0..20 {
        let given = given.clone();
        tasks.spawn(async move {
            let change = set("winner", &i.to_string()).expecting("winner", None);
            (i, given.apply(&presented, &change).await)
        });
    }
    let answers = tasks.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|(_, answer)| matches!(answer, Outcome::Done { .. })).collect();
    let conflicts = answers.iter().filter(|(_, answer)| *answer == Outcome::Refused(Refusal::Conflict)).count();
    assert_eq!((winners.len(), conflicts), (1, 19));
    assert_eq!(given.fields(&presented).await, fields(&[("winner", &winners[0].0.to_string())]));
}

pub async fn a_compare_and_set_that_is_retried_loses_no_update<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let presented = given.session(&[("list", "")]).await;
    let mut tasks = JoinSet::new();
    for i in 0..20 {
        let given = given.clone();
        tasks.spawn(async move {
            loop {
                let seen = given.fields(&presented).await["list"].to_owned();
                let longer = format!("{seen}{i},");
                match given.apply(&presented, &set("list", &longer).expecting("list", Some(&seen))).await {
                    Outcome::Done { .. } => break,
                    Outcome::Refused(refusal) => assert_eq!(refusal, Refusal::Conflict),
                }
            }
        });
    }
    tasks.join_all().await;
    let list = given.fields(&presented).await["list"].to_owned();
    let mut entries: Vec<usize> = list.split_terminator(',').map(|entry| entry.parse().unwrap()).collect();
    entries.sort_unstable();
    assert_eq!(entries, (0..20).collect::<Vec<_>>());
}
