//! Where a server cannot say what changes, sessions are read each time, and it is said.

use std::time::Duration;

use cloakroom::store::{NearCache, Redis};

use super::{builder, commands};
use crate::support::{Capture, RedisServer};
use crate::{Kept, PATIENT};

#[tokio::test]
async fn the_near_cache_turns_itself_off_where_tracking_is_not_allowed_or_not_known() {
    let denied = RedisServer::start();
    denied.ask::<()>(&["ACL", "SETUSER", "app", "on", ">s", "~*", "+@all", "-client"]);
    let unknown = RedisServer::start_with(&["--rename-command", "CLIENT", ""]);
    for (server, user) in [(denied, Some("app")), (unknown, None)] {
        let log = Capture::default();
        let _logging = tracing::subscriber::set_default(log.subscriber());
        let builder = match user {
            Some(user) => builder(server.url()).username(user).password("s"),
            None => builder(server.url()),
        };
        let kept = Kept::on(builder).await;
        assert!(log.text().contains("the near cache is off"), "{}", log.text());
        let presented = kept.session().await;
        let mut monitor = server.monitor();
        for _ in 0..3 {
            assert!(kept.lives(&presented).await);
            assert_eq!(commands(&mut monitor), ["HGETALL", "PTTL"]);
        }
        assert_eq!(kept.count(&presented).await.unwrap(), 1);
        kept.revoke(&presented).await.unwrap();
        assert!(!kept.lives(&presented).await);
    }
}

#[tokio::test]
async fn settings_outside_their_limits_are_refused() {
    let sense = NearCache::default();
    for (near_cache, named) in [
        (sense.max_sessions(0), "max_sessions"),
        (sense.max_bytes(1000), "max_bytes"),
        (sense.silence_limit(Duration::ZERO), "silence_limit"),
        (sense.silence_limit(Duration::MAX), "silence_limit"),
    ] {
        let refused = Redis::builder("redis://127.0.0.1:1").timeout(PATIENT).near_cache(near_cache).connect().await;
        let error = refused.unwrap_err();
        assert!(error.is_config() && error.to_string().contains(named), "{error}");
    }
}
