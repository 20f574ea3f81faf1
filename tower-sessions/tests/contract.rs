//! What tower-sessions documents of a `SessionStore`, and what is promised beyond it.

use std::collections::HashMap;

use cloakroom::store::Memory;
use cloakroom_tower_sessions::CloakroomStore;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Error;
use tower_sessions::{Session, SessionStore};

mod support;

on_each_store! {
    a_created_session_is_loaded_as_it_was_created,
    a_created_session_may_be_empty,
    a_saved_session_is_loaded_as_it_was_saved,
    a_session_that_was_never_created_is_not_loaded,
    a_deleted_session_is_gone_and_may_be_deleted_again,
    a_session_whose_id_exists_gets_another_id,
    a_date_of_expiry_is_kept_and_may_come_earlier_or_later,
    an_expired_session_is_not_loaded,
    a_session_that_is_saved_with_a_date_in_the_past_is_gone,
    every_value_and_every_key_comes_back,
    changes_to_different_keys_are_both_kept,
    a_key_that_one_request_removes_does_not_come_back_with_the_save_of_another,
    a_save_writes_only_what_was_changed_since_the_load,
    a_request_may_save_more_than_once,
    a_session_that_is_cleared_has_only_what_is_inserted_then,
    a_record_that_was_never_loaded_replaces_the_session,
    a_save_after_the_session_was_deleted_is_an_error_and_the_session_stays_gone,
    a_save_of_a_session_that_was_never_created_is_an_error,
    a_new_id_takes_the_data_along_and_the_former_id_opens_nothing,
    what_fifty_requests_insert_at_the_same_time_is_all_kept,
}

fn record(data: &[(&str, Value)]) -> Record {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::minutes(30) }
}

async fn created(store: &impl SessionStore, data: &[(&str, Value)]) -> Record {
    let mut record = record(data);
    store.create(&mut record).await.unwrap();
    record
}

async fn loaded(store: &impl SessionStore, id: &Id) -> Record {
    store.load(id).await.unwrap().expect("the session lives")
}

async fn data_of(store: &impl SessionStore, id: &Id) -> HashMap<String, Value> {
    loaded(store, id).await.data
}

fn data(expected: &[(&str, Value)]) -> HashMap<String, Value> {
    record(expected).data
}

async fn a_created_session_is_loaded_as_it_was_created(store: impl SessionStore) {
    let record = created(&store, &[("cart", json!(["coat"])), ("views", json!(3))]).await;
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
}

async fn a_created_session_may_be_empty(store: impl SessionStore) {
    let record = created(&store, &[]).await;
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
}

async fn a_saved_session_is_loaded_as_it_was_saved(store: impl SessionStore) {
    let mut record = created(&store, &[("views", json!(3)), ("old", json!(1))]).await;
    record.data.insert("views".to_owned(), json!(4));
    record.data.remove("old");
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
}

async fn a_session_that_was_never_created_is_not_loaded(store: impl SessionStore) {
    assert_eq!(store.load(&Id::default()).await.unwrap(), None);
}

async fn a_deleted_session_is_gone_and_may_be_deleted_again(store: impl SessionStore) {
    let record = created(&store, &[]).await;
    for _ in 0..2 {
        store.delete(&record.id).await.unwrap();
        assert_eq!(store.load(&record.id).await.unwrap(), None);
    }
}

async fn a_session_whose_id_exists_gets_another_id(store: impl SessionStore) {
    let first = created(&store, &[("whose", json!("first"))]).await;
    let mut second = Record { id: first.id, ..record(&[("whose", json!("second"))]) };
    store.create(&mut second).await.unwrap();
    let mut alike = first.clone();
    store.create(&mut alike).await.unwrap();
    assert!(first.id != second.id && first.id != alike.id);
    for record in [first, second, alike] {
        assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
    }
}

async fn a_date_of_expiry_is_kept_and_may_come_earlier_or_later(store: impl SessionStore) {
    let mut record = created(&store, &[]).await;
    for lifetime in [Duration::weeks(520), Duration::seconds(59), Duration::days(400)] {
        record.expiry_date = OffsetDateTime::now_utc() + lifetime;
        store.save(&record).await.unwrap();
        assert_eq!(loaded(&store, &record.id).await.expiry_date, record.expiry_date);
    }
}

async fn an_expired_session_is_not_loaded(store: impl SessionStore) {
    let mut record = record(&[]);
    record.expiry_date = OffsetDateTime::now_utc() + Duration::milliseconds(300);
    store.create(&mut record).await.unwrap();
    while OffsetDateTime::now_utc() <= record.expiry_date {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn a_session_that_is_saved_with_a_date_in_the_past_is_gone(store: impl SessionStore) {
    let mut record = created(&store, &[]).await;
    record.expiry_date = OffsetDateTime::now_utc() - Duration::seconds(1);
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    store.create(&mut record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn every_value_and_every_key_comes_back(store: impl SessionStore) {
    let values = [
        json!(null),
        json!(true),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.1 + 0.2),
        json!(""),
        json!("3"),
        json!("null"),
        json!("\"quoted\" and \u{1f3a9}\n"),
        json!([1, [2, {"three": null}]]),
        json!({"user_id": 7, "auth_hash": [1, 2, 3]}),
    ];
    let keys = [
        "",
        " ",
        "axum-login.data",
        "user_id",
        "expiry_date",
        "created_at",
        "secret_hash",
        "key:",
        "key:user_id",
        "ä",
        "a.b",
    ];
    let all: Vec<_> = keys.into_iter().zip(values).collect();
    let record = created(&store, &all).await;
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
}

async fn changes_to_different_keys_are_both_kept(store: impl SessionStore) {
    let id = created(&store, &[("views", json!(1))]).await.id;
    let (mut one, mut other) = (loaded(&store, &id).await, loaded(&store, &id).await);
    one.data.insert("cart".to_owned(), json!("coat"));
    other.data.insert("theme".to_owned(), json!("dark"));
    store.save(&one).await.unwrap();
    store.save(&other).await.unwrap();
    let expected = [("views", json!(1)), ("cart", json!("coat")), ("theme", json!("dark"))];
    assert_eq!(data_of(&store, &id).await, data(&expected));
}

async fn a_key_that_one_request_removes_does_not_come_back_with_the_save_of_another(store: impl SessionStore) {
    let id = created(&store, &[("voucher", json!("ABC")), ("views", json!(1))]).await.id;
    let (mut one, mut other) = (loaded(&store, &id).await, loaded(&store, &id).await);
    one.data.remove("voucher");
    other.data.insert("views".to_owned(), json!(2));
    store.save(&one).await.unwrap();
    store.save(&other).await.unwrap();
    assert_eq!(data_of(&store, &id).await, data(&[("views", json!(2))]));
}

async fn a_save_writes_only_what_was_changed_since_the_load(store: impl SessionStore) {
    let id = created(&store, &[("views", json!(1))]).await.id;
    let unchanged = loaded(&store, &id).await;
    let mut changed = loaded(&store, &id).await;
    changed.data.insert("views".to_owned(), json!(2));
    changed.expiry_date += Duration::minutes(5);
    store.save(&changed).await.unwrap();
    store.save(&unchanged).await.unwrap();
    assert_eq!(loaded(&store, &id).await, changed);
}

async fn a_request_may_save_more_than_once(store: impl SessionStore + Clone) {
    let id = created(&store, &[("kept", json!(1))]).await.id;
    let session = Session::new(Some(id), store.clone().into(), None);
    session.insert("step", 1).await.unwrap();
    session.save().await.unwrap();
    session.remove::<u8>("step").await.unwrap();
    session.insert("done", true).await.unwrap();
    session.save().await.unwrap();
    assert_eq!(data_of(&store, &id).await, data(&[("kept", json!(1)), ("done", json!(true))]));
}

async fn a_session_that_is_cleared_has_only_what_is_inserted_then(store: impl SessionStore + Clone) {
    for is_loaded_first in [true, false] {
        let id = created(&store, &[("cart", json!("coat")), ("views", json!(1))]).await.id;
        let session = Session::new(Some(id), store.clone().into(), None);
        if is_loaded_first {
            session.get::<u64>("views").await.unwrap();
        }
        session.clear().await;
        session.insert("theme", "dark").await.unwrap();
        session.save().await.unwrap();
        assert_eq!(data_of(&store, &id).await, data(&[("theme", json!("dark"))]), "loaded first: {is_loaded_first}");
    }
}

async fn a_record_that_was_never_loaded_replaces_the_session(store: impl SessionStore) {
    let id = created(&store, &[("views", json!(1)), ("cart", json!("coat"))]).await.id;
    let whole = Record { id, ..record(&[("views", json!(2))]) };
    store.save(&whole).await.unwrap();
    assert_eq!(loaded(&store, &id).await, whole);
}

async fn a_save_after_the_session_was_deleted_is_an_error_and_the_session_stays_gone(store: impl SessionStore) {
    let id = created(&store, &[("views", json!(1))]).await.id;
    let mut late = loaded(&store, &id).await;
    let unchanged = loaded(&store, &id).await;
    store.delete(&id).await.unwrap();
    late.data.insert("views".to_owned(), json!(2));
    for record in [late, unchanged] {
        let error = store.save(&record).await.unwrap_err();
        assert_eq!(error.to_string(), "the session has ended meanwhile: nothing was saved");
        assert_eq!(store.load(&id).await.unwrap(), None);
    }
}

async fn a_save_of_a_session_that_was_never_created_is_an_error(store: impl SessionStore) {
    let record = record(&[("views", json!(1))]);
    assert!(matches!(store.save(&record).await, Err(Error::Backend(_))));
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn a_new_id_takes_the_data_along_and_the_former_id_opens_nothing(store: impl SessionStore + Clone) {
    let former = created(&store, &[("cart", json!("coat"))]).await.id;
    let session = Session::new(Some(former), store.clone().into(), None);
    session.cycle_id().await.unwrap();
    session.insert("user", 7).await.unwrap();
    session.save().await.unwrap();
    assert_eq!(store.load(&former).await.unwrap(), None);
    let id = session.id().unwrap();
    assert_eq!(data_of(&store, &id).await, data(&[("cart", json!("coat")), ("user", json!(7))]));
}

async fn what_fifty_requests_insert_at_the_same_time_is_all_kept(store: impl SessionStore + Clone) {
    let id = created(&store, &[("views", json!(1))]).await.id;
    let all_have_loaded = std::sync::Arc::new(tokio::sync::Barrier::new(50));
    let requests: Vec<_> = (0..50)
        .map(|number| {
            let session = Session::new(Some(id), store.clone().into(), None);
            let all_have_loaded = all_have_loaded.clone();
            tokio::spawn(async move {
                session.load().await.unwrap();
                all_have_loaded.wait().await;
                session.insert(&format!("key {number}"), number).await.unwrap();
                session.save().await.unwrap();
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    let data = data_of(&store, &id).await;
    assert_eq!(data.len(), 51);
    assert!((0..50).all(|number| data[&format!("key {number}")] == json!(number)));
}

#[tokio::test]
async fn a_session_that_is_too_large_says_which_limit_it_exceeds() {
    let store = CloakroomStore::with_limits(Memory::new(), 2, 200);
    let mut record = record(&[("a", json!(1)), ("b", json!(2))]);
    store.create(&mut record).await.unwrap();
    let error = |key: &str, value: Value| {
        let mut record = record.clone();
        record.data.insert(key.to_owned(), value);
        let store = store.clone();
        async move { store.save(&record).await.unwrap_err().to_string() }
    };
    assert!(error("c", json!(3)).await.contains("max_fields"));
    assert!(error("a", json!("x".repeat(200))).await.contains("max_bytes"));
    assert!(error(&"k".repeat(65), json!(1)).await.contains("at most 64 bytes"));
}

#[tokio::test]
async fn redis_holds_nothing_that_opens_a_session() {
    let server = support::RedisServer::start();
    let store = support::in_redis(&server).await;
    let record = created(&store, &[("cart", json!("coat"))]).await;
    let key = server.ask::<Vec<String>>(&["KEYS", "*"]).pop().unwrap();
    assert_eq!(key, format!("session:{}", CloakroomStore::<Memory>::session_id(&record.id)));
    let fields = server.ask::<Vec<String>>(&["HGETALL", &key]).join("\n");
    assert!(fields.contains("coat"));
    assert!(!fields.contains(&record.id.to_string()) && !key.contains(&record.id.to_string()));
    let opens = format!("{key}\n{fields}")
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .filter_map(|word| word.parse::<Id>().ok())
        .collect::<Vec<_>>();
    for id in opens {
        assert_eq!(store.load(&id).await.unwrap(), None);
    }
}
