//! What operators' tools ask of a store: sessions by their ids, all sessions, raw answers of the server, and the removal of ids
//! that lead to no session.

use cloakroom::conformance::mint;
use cloakroom::store::operate::{Inspect as _, Save as _};
use serde_json::json;

use crate::{NO_ARGUMENTS, Stand, anna, key, sign_in};

const INDEX: &str = "session:user:anna";

#[tokio::test]
async fn what_is_no_session_is_not_found_by_its_id() {
    let mut stand = Stand::new().await;
    let (list, mortal_list, immortal, live) =
        (mint(), mint(), stand.session(&[]).await, stand.session(&[("a", "1")]).await);
    for other in [&list, &mortal_list] {
        let _: i64 = stand.ask("RPUSH", (key(other), "x"));
    }
    let _: i64 = stand.ask("EXPIRE", (key(&mortal_list), 1800));
    let _: i64 = stand.ask("PERSIST", key(&immortal));
    for (presented, is_session) in
        [(mint(), false), (list, false), (mortal_list, false), (immortal, false), (live, true)]
    {
        let found = stand.store.find(&presented.id, &stand.terms).await.unwrap();
        assert_eq!(found.is_some(), is_session);
        let saved = stand.store.save(&[presented.id], &stand.terms).await.unwrap();
        assert_eq!(saved[0].is_some(), is_session);
    }
}

#[tokio::test]
async fn a_scan_of_one_server_finds_every_session_and_ends() {
    let stand = Stand::new().await;
    let mut all = Vec::new();
    for _ in 0..50 {
        all.push(stand.session(&[]).await.id);
    }
    let scanned = stand.store.scan(None, 1000).await.unwrap();
    assert_eq!(scanned.next, None);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let scanned = stand.store.scan(cursor.as_deref(), 5).await.unwrap();
        found.extend(scanned.ids);
        cursor = scanned.next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    all.sort();
    assert_eq!(found, all);
    for odd in ["x@0", "0@x"] {
        assert!(stand.store.scan(Some(odd), 5).await.is_err(), "{odd}");
    }
}

#[tokio::test]
async fn an_operators_command_is_answered_as_json() {
    let mut stand = Stand::new().await;
    let _: () = stand.ask("SET", ("session:text", "\u{fc}"));
    let _: i64 = stand.ask("RPUSH", ("session:list", "a", "b"));
    let store = &stand.store;
    assert_eq!((store.prefix(), store.servers()), ("session:", vec![stand.server.url()]));
    let server = &store.servers()[0];
    let answers = [
        (&["PING"][..], json!("PONG")),
        (&["DBSIZE"], json!(2)),
        (&["GET", "session:text"], json!("\u{fc}")),
        (&["GET", "session:none"], json!(null)),
        (&["LRANGE", "session:list", "0", "-1"], json!(["a", "b"])),
    ];
    for (command, answer) in answers {
        assert_eq!(store.command(server, command).await.unwrap(), answer, "{command:?}");
        assert_eq!(store.command_for("session:list", command).await.unwrap(), answer, "{command:?}");
    }
    assert!(store.command(server, NO_ARGUMENTS).await.is_err());
    assert!(store.command_for("session:list", NO_ARGUMENTS).await.is_err());
    let error = store.command("redis://127.0.0.1:1", &["PING"]).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1 is none of the servers"), "{error}");
}

#[tokio::test]
async fn only_ids_that_lead_to_no_session_of_the_user_are_removed_from_the_index_and_counted() {
    let mut stand = Stand::new().await;
    let (live, ended, visitor) =
        (stand.signed_in(&sign_in()).await, stand.signed_in(&sign_in()).await, stand.session(&[]).await);
    let of_another = stand.session(&[]).await;
    let now = stand.time() as f64 / 1000.0;
    // a visitor whose sign-in is on its way, and a session of another user's
    for presented in [&visitor, &of_another] {
        let _: i64 = stand.ask("ZADD", (INDEX, now, presented.id.expose()));
    }
    let _: i64 = stand.ask("HSET", (key(&of_another), "user_id", "andrew"));
    let _: i64 = stand.ask("DEL", key(&ended));
    let ids = [live.id, ended.id, visitor.id, of_another.id, mint().id];
    assert_eq!(stand.store.remove_ghosts(&anna(), &ids).await.unwrap(), 2);
    assert_eq!(stand.ask::<Vec<String>>("ZRANGE", (INDEX, 0, -1)), [live.id.expose(), visitor.id.expose()]);
    assert_eq!(stand.store.remove_ghosts(&anna(), &ids).await.unwrap(), 0);
}
