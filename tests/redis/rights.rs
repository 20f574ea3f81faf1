//! A user to whom the server forbids a command. The store refuses such a user at once, and names the command. If a command
//! is forbidden later, nothing stays that would live for ever.

use std::time::Duration;

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::operate::{Restore as _, Save as _};
use cloakroom::store::{Redis, RedisBuilder, Store, Target};
use cloakroom::{
    Error, OnLimit, Page, UserId,
    store::{Change, Credentials, FieldChanges, Save, SignIn, Terms},
};

use crate::support::RedisServer;
use crate::{anna, bind, fields, rotate_to, sign_in, touch_of};

const PASSWORD: &str = "hunter2-of-redis";
const PATIENT: Duration = Duration::from_secs(60);
/// Every command that is needed, as an ACL names it.
const NEEDED: [&str; 19] = [
    "del",
    "evalsha",
    "hdel",
    "hget",
    "hgetall",
    "hincrby",
    "hmget",
    "hset",
    "pexpireat",
    "pttl",
    "script|load",
    "time",
    "zadd",
    "zcount",
    "zrange",
    "zrangebyscore",
    "zrem",
    "zrevrangebyscore",
    "zscore",
];

fn permit(server: &RedisServer, rules: &[&str]) {
    let password = format!(">{PASSWORD}");
    let rules = [&["ACL", "SETUSER", "app", "on", &password, "~session:*"], rules].concat();
    let _: () = server.ask(&rules);
}

/// Before Redis 7.0 no rule forbids a part of a command.
fn forbidding(command: &str) -> String {
    format!("-{}", command.split('|').next().expect("a name"))
}

fn builder(server: &RedisServer) -> RedisBuilder {
    Redis::builder(server.url()).username("app").password(PASSWORD).timeout(PATIENT)
}

async fn refused(server: &RedisServer) -> Error {
    let error = builder(server).connect().await.map(|store| panic!("{store:?}")).unwrap_err();
    assert!(error.is_store() && !error.to_string().contains(PASSWORD), "{error}");
    error
}

#[tokio::test]
async fn a_user_who_may_not_run_a_command_is_refused_when_connecting_and_told_which() {
    let server = RedisServer::start();
    for missing in NEEDED {
        permit(&server, &["+@all", &forbidding(missing)]);
        // otherwise the server knows the scripts already, and the store need not send them again
        let _: () = server.ask(&["SCRIPT", "FLUSH"]);
        let error = refused(&server).await;
        assert!(error.to_string().ends_with(&format!("ACL SETUSER <name> +{missing}")), "{missing}: {error}");
    }
    permit(&server, &["+@all", "-hset", "-pexpireat"]);
    let error = refused(&server).await;
    assert!(error.to_string().ends_with("+hset +pexpireat"), "all at once: {error}");
    // whoever only reads sessions can accept that rights are missing
    builder(&server).accept_missing_rights().connect().await.expect("it is not asked");
}

#[tokio::test]
async fn a_user_who_may_not_reach_the_keys_is_refused_when_connecting() {
    let server = RedisServer::start();
    for keys in ["~other:*", "~session:user:*"] {
        permit(&server, &["+@all", "resetkeys", keys]);
        let error = refused(&server).await;
        assert!(error.to_string().ends_with("ACL SETUSER <name> ~session:*"), "{keys}: {error}");
    }
}

#[tokio::test]
async fn connecting_leaves_nothing_behind_and_changes_nothing() {
    let server = RedisServer::start();
    permit(&server, &["+@all"]);
    builder(&server).connect().await.expect("it may do everything");
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
    assert_eq!(server.info("persistence", "rdb_changes_since_last_save"), "0");
}

#[tokio::test]
async fn a_server_that_may_not_be_asked_whether_it_is_a_replica_is_taken_for_a_primary() {
    let server = RedisServer::start();
    permit(&server, &["+@all", "-info"]);
    builder(&server).connect().await.expect("it does everything that is needed");
}

#[tokio::test]
async fn a_server_that_refuses_to_write_for_another_reason_is_connected_to() {
    for [name, value] in [["maxmemory", "1"], ["min-replicas-to-write", "1"]] {
        let server = RedisServer::start();
        permit(&server, &["+@all"]);
        server.ask::<()>(&["CONFIG", "SET", name, value]);
        builder(&server).connect().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0, "{name}");
    }
}

/// A server on which a user may do everything, for now, and two sessions of Anna's.
struct Scene {
    server: RedisServer,
    store: Redis,
    terms: Terms,
    presented: [Credentials; 2],
}

impl Scene {
    async fn new() -> Scene {
        let server = RedisServer::start();
        permit(&server, &["+@all"]);
        let store = builder(&server).connect().await.unwrap();
        let mut scene = Scene { server, store, terms: Terms::default(), presented: [mint(), mint()] };
        // twice: the server knows all scripts when a right is taken away
        for _ in 0..2 {
            for place in 0..2 {
                scene.presented[place] = scene.signed_in(&anna()).await;
            }
            scene.every_verb(async |_| {}).await;
        }
        scene
    }

    async fn visitor(&self) -> Credentials {
        let presented = mint();
        self.store.create(&new_session(presented, fields(&[("n", "1")])), &self.terms).await.unwrap();
        presented
    }

    async fn signed_in(&self, user: &UserId) -> Credentials {
        let (visitor, new) = (self.visitor().await, SignIn { user: user.clone(), ..sign_in() });
        let rotated = with_new_secret(&visitor);
        self.store.apply(&visitor, &bind(&rotated, &new), &self.terms).await.unwrap();
        rotated
    }

    /// Runs each verb on sessions of its own, which were made before. Takes the right away before each verb, and gives it back
    /// afterwards.
    async fn every_verb(&self, forbid: impl AsyncFn(bool)) {
        let (store, terms) = (&self.store, &self.terms);
        let visitors = [self.visitor().await, self.visitor().await, self.visitor().await, self.visitor().await];
        let touched = store.load(&self.presented[0], terms).await.unwrap().live().expect("it lives");
        let touch = touch_of(&touched);
        let saved = async |id| store.save(&[id], terms).await.unwrap().remove(0).expect("it lives");
        let (saved, anonymous) = (saved(self.presented[1].id).await, saved(visitors[0].id).await);
        let end = async |presented: &Credentials| drop(store.revoke(&Target::Session(presented.id)).await);
        let berta = UserId::try_from("berta").unwrap();
        let bertas = [self.signed_in(&berta).await, self.signed_in(&berta).await];
        let carla = UserId::try_from("carla").unwrap();
        let limit = |user: &UserId, on_limit| SignIn { user: user.clone(), max_sessions: 1, on_limit, ..sign_in() };
        let delta = FieldChanges {
            set: fields(&[("a", "1")]),
            remove: ["n".to_owned()].into(),
            add: [("count".to_owned(), 1)].into(),
            idle_timeout: Some(Duration::from_secs(60)),
            ..FieldChanges::default()
        };
        let page = Page { offset: 0, limit: 100 };
        let change = Change::from(Save { fields: delta, ..Save::default() });
        let rotation = rotate_to(&with_new_secret(&visitors[0]));
        let to = |presented: &Credentials| with_new_secret(presented);

        self.verb(&forbid, "create", store.create(&new_session(mint(), fields(&[("a", "1")])), terms)).await;
        self.verb(&forbid, "change", store.apply(&visitors[0], &change, terms)).await;
        self.verb(&forbid, "rotate", store.apply(&visitors[0], &rotation, terms)).await;
        let _: () = self.server.ask(&["DEL", "session:user:anna"]);
        self.verb(&forbid, "touch", store.apply(&self.presented[0], &touch, terms)).await;
        let _: () = self.server.ask(&["DEL", "session:user:carla"]);
        let first = bind(&to(&visitors[1]), &limit(&carla, OnLimit::RefuseNew));
        self.verb(&forbid, "sign in", store.apply(&visitors[1], &first, terms)).await;
        let refused = bind(&to(&visitors[2]), &limit(&berta, OnLimit::RefuseNew));
        self.verb(&forbid, "sign in beyond the limit", store.apply(&visitors[2], &refused, terms)).await;
        let evicting = bind(&to(&visitors[3]), &limit(&berta, OnLimit::EvictOldest));
        self.verb(&forbid, "sign in and evict", store.apply(&visitors[3], &evicting, terms)).await;
        end(&bertas[1]).await;
        self.verb(&forbid, "list", store.list(&berta, page, terms)).await;
        self.verb(&forbid, "revoke", store.revoke(&Target::Session(visitors[0].id))).await;
        end(&visitors[0]).await;
        self.verb(&forbid, "restore a visitor's", store.restore(&[anonymous])).await;
        self.verb(&forbid, "revoke all", store.revoke(&Target::AllOf(berta.clone()))).await;
        end(&self.presented[1]).await;
        let _: () = self.server.ask(&["DEL", "session:user:anna"]);
        self.verb(&forbid, "restore", store.restore(std::slice::from_ref(&saved))).await;
        // this makes what the next round needs
        end(&self.presented[1]).await;
        store.restore(&[saved]).await.unwrap();
        store.apply(&self.presented[0], &touch, terms).await.unwrap();
    }

    async fn verb<T>(&self, forbid: &impl AsyncFn(bool), name: &str, verb: impl Future<Output = T>) {
        forbid(true).await;
        drop(verb.await);
        let immortal = self.server.immortal_keys();
        assert!(immortal.is_empty(), "{name}: {immortal:?}");
        forbid(false).await;
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_while_running_leaves_no_key_without_an_expiry_whatever_is_done() {
    let scene = Scene::new().await;
    for missing in NEEDED {
        eprintln!("without {missing}:");
        scene
            .every_verb(async |forbidden| {
                let rule = if forbidden { forbidding(missing) } else { "+@all".to_owned() };
                let _: () = scene.server.ask(&["ACL", "SETUSER", "app", &rule]);
            })
            .await;
    }
}

#[tokio::test]
async fn a_change_is_made_as_a_whole_or_not_at_all_where_one_of_its_commands_is_forbidden() {
    let scene = Scene::new().await;
    let key = format!("session:{}", scene.presented[0].id.expose());
    let delta = FieldChanges {
        set: fields(&[("name", "changed")]),
        remove: ["cart".to_owned()].into(),
        add: [("views".to_owned(), 1)].into(),
        ..FieldChanges::default()
    };
    let counting = FieldChanges { add: delta.add.clone(), ..FieldChanges::default() };
    let no_counter = FieldChanges { add: Default::default(), ..delta.clone() };
    let _: u64 = scene.server.ask(&["HSET", &key, "name", "before", "cart", "full", "views", "7"]);
    let stored = || scene.server.ask::<std::collections::BTreeMap<String, String>>(&["HGETALL", &key]);
    let before = stored();
    for missing in ["hset", "hdel", "hincrby", "pexpireat", "hgetall", "pttl", "time"] {
        let _: () = scene.server.ask(&["ACL", "SETUSER", "app", &format!("-{missing}")]);
        for delta in [&delta, &counting, &no_counter] {
            let change = Change::from(Save { fields: delta.clone(), touch: true, ..Save::default() });
            let answer = scene.store.apply(&scene.presented[0], &change, &Terms::default()).await;
            if let Err(error) = answer {
                assert!(!error.is_unknown(), "without {missing}: {error}");
                assert_eq!(stored(), before, "without {missing}");
            } else {
                let is_needed =
                    !(missing == "hincrby" && delta.add.is_empty() || missing == "hdel" && delta.remove.is_empty());
                assert!(!is_needed, "without {missing} it was made");
                let _: u64 = scene.server.ask(&["HSET", &key, "name", "before", "cart", "full", "views", "7"]);
                let _: u64 = scene.server.ask(&["HSET", &key, "last_accessed_at", &before["last_accessed_at"]]);
            }
        }
        let _: () = scene.server.ask(&["ACL", "SETUSER", "app", "+@all"]);
    }
}

#[tokio::test]
async fn an_eviction_whose_notice_cannot_be_written_is_an_eviction() {
    for missing in ["hset", "pexpireat"] {
        let scene = Scene::new().await;
        let (id, user) = (scene.presented[0].id, anna());
        // this does what a sign-in does when it chooses whom to evict, but without the sign-in around it, which needs these
        // commands itself
        let scripts: String = ["prelude.lua", "end.lua"].map(source).concat();
        let _: () = scene.server.ask(&["ACL", "SETUSER", "app", &format!("-{missing}"), "+eval"]);
        let url = scene.server.url().replace("redis://", &format!("redis://app:{PASSWORD}@"));
        let mut client = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut script = redis::cmd("EVAL");
        script.arg(scripts).arg(1).arg(format!("session:{}", id.expose()));
        let ended: i64 = script.arg(user.as_str()).arg(0).arg(300).arg("").query(&mut client).unwrap();
        assert_eq!(ended, 1, "without {missing}");
        assert_eq!(scene.server.ask::<u64>(&["EXISTS", &format!("session:{}", id.expose())]), 0, "without {missing}");
    }
}

fn source(file: &str) -> String {
    let path = format!("{}/src/store/redis/lua/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the script is there")
}
