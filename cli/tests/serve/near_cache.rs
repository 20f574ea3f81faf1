//! The near cache of a service never hides that a session has ended.

use serde_json::json;

use crate::support::eventually;
use crate::support::operator::run;
use crate::support::redis_server::RedisServer;
use crate::support::service::{Caller, service_on};

#[test]
fn what_another_service_or_an_operator_ends_the_next_question_does_not_find() {
    let redis = RedisServer::start();
    let (one, two) = (service_on(&redis, &[]), service_on(&redis, &[]));
    for by_operator in [true, false] {
        let mut caller = Caller::of(&one);
        let id = caller.sign_in("ada")["id"].as_str().expect("an id").to_owned();
        let mut elsewhere = caller.at(&two);
        // the sessions are in the near caches of both when Redis is not asked for them any more
        eventually("both near caches have the session", || {
            let asked = || redis.info("stats", "total_commands_processed").parse::<u64>().expect("a number");
            let before = asked();
            assert_eq!(
                (caller.session()["user"].clone(), elsewhere.session()["user"].clone()),
                (json!("ada"), json!("ada"))
            );
            // INFO itself is one, and connecting for it
            (asked() - before <= 2).then_some(())
        });
        if by_operator {
            let said = run(&["revoke", "--redis-port", &redis.port().to_string(), &id], &[]);
            assert_eq!(said.code, 0, "{said:?}");
        } else {
            assert_eq!(
                elsewhere.post("/v1/session/sign-out", json!({ "scope": "everywhere" })).ok(),
                json!({ "ended": 1 })
            );
        }
        eventually("the end is known", || (caller.session()["state"] == "none").then_some(()));
        assert_eq!(caller.get("/v1/session?fresh=true").ok()["state"], "none");
    }
}
