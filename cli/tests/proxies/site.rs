//! A Redis, the real service on it, and visitors who are signed in there.

use cloakroom::{Config, SessionId, Sessions};
use tokio::runtime::Runtime;

use crate::support::demo::{Demo, cloakroom};
use crate::support::redis_server::RedisServer;

pub(crate) struct Site {
    pub(crate) redis: RedisServer,
    pub(crate) service: Demo,
    sessions: Sessions,
    runtime: Runtime,
}

/// Somebody who is signed in.
pub(crate) struct Visitor {
    pub(crate) session: SessionId,
    /// The whole value of the header `Cookie`.
    pub(crate) cookie: String,
    /// The secret that no log may have.
    pub(crate) secret: String,
}

impl Site {
    /// Starts the service with more flags.
    pub(crate) fn start(flags: &[&str]) -> Site {
        Site::start_in(&[], flags)
    }

    /// Starts the service so that it logs all that it can.
    pub(crate) fn start_logging_all(flags: &[&str]) -> Site {
        Site::start_in(&[("RUST_LOG", "trace")], flags)
    }

    fn start_in(environment: &[(&str, &str)], flags: &[&str]) -> Site {
        let redis = RedisServer::start();
        let port = redis.port().to_string();
        let mut command = cloakroom(&["serve", "--listen", "127.0.0.1:0", "--redis-port", &port]);
        command.args(flags).envs(environment.iter().copied());
        let service = Demo::by(command);
        let runtime = Runtime::new().expect("a runtime");
        let sessions = runtime.block_on(Sessions::open(&redis.url(), Config::default())).expect("Redis answers");
        Site { redis, service, sessions, runtime }
    }

    /// The port of the service.
    pub(crate) fn port(&self) -> u16 {
        let url = self.service.url("");
        url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Signs somebody in, as another program on this Redis does.
    pub(crate) fn sign_in(&self, user: &str) -> Visitor {
        let signed_in = self.runtime.block_on(async { self.sessions.create().sign_in(user).await });
        let (token, session) = signed_in.expect("Redis answers");
        let token = token.expose();
        let secret = token.split('.').nth(1).expect("a secret").to_owned();
        Visitor { session: session.id(), cookie: format!("__Host-sid={token}"), secret }
    }

    /// Signs somebody out, as another program on this Redis does.
    pub(crate) fn revoke(&self, visitor: &Visitor) {
        let revoked = self.runtime.block_on(self.sessions.revoke(&visitor.session));
        assert!(revoked.expect("Redis answers"), "the session was live");
    }
}

impl Visitor {
    /// What an application is told of this visitor.
    pub(crate) fn named(&self, user: &str) -> String {
        format!("?1;user={user};id=\"{}\"", self.session)
    }
}
