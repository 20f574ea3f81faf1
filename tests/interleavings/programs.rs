//! What the clients do, and what they begin with.

use std::sync::LazyLock;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use cloakroom::store::Store;
use cloakroom::{Config, Error, Field, OnLimit, Page, Session, SessionId, Sessions, UserId, web::Visit};

use crate::support::Scene;

/// How many sessions a user may have.
pub(crate) const LIMIT: usize = 2;

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// What one request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Reads, and the touch is due.
    Read,
    Save,
    Count,
    Rotate,
    Elevate,
    SignIn(&'static str),
    /// Signs Anna in with the key that all clients have: each request may be the repeat of another one.
    Repeatable,
    SignOut,
    SignOutOthers,
    SignOutEverywhere,
    /// Ends the session that was there second, if it is this user's.
    SignOutSecond,
    List,
    /// The application ends all of Anna's sessions. No request's session is looked at.
    RevokeAnna,
}

pub(crate) const ACTS: [Act; 13] = [
    Act::Read,
    Act::Save,
    Act::Count,
    Act::Rotate,
    Act::Elevate,
    Act::SignIn("anna"),
    Act::SignIn("bert"),
    Act::SignOut,
    Act::SignOutOthers,
    Act::SignOutEverywhere,
    Act::SignOutSecond,
    Act::List,
    Act::RevokeAnna,
];

/// What is there when the clients begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing: nobody has a cookie.
    Nobody,
    /// One session without a user, in whose cookie all share: tabs of one browser.
    Visitor,
    /// Two sessions of Anna. The second client has the second one's cookie, the others share the first one's.
    Devices,
    /// The same, but the first and the second client share the first one's cookie, and the third has none: a new device.
    Tabs,
}

pub(crate) const STARTS: [Start; 4] = [Start::Nobody, Start::Visitor, Start::Devices, Start::Tabs];

pub(crate) const POLICIES: [OnLimit; 2] = [OnLimit::EvictOldest, OnLimit::RefuseNew];

/// What each client does, one request after the other.
pub(crate) type Program = Vec<Vec<Act>>;

/// A client's managers: as the application has it, and one that touches on every read.
#[derive(Clone)]
pub(crate) struct Managers {
    usual: Sessions,
    touching: Sessions,
}

impl Managers {
    pub(crate) fn new<S: Store + Clone>(store: &S, on_limit: OnLimit) -> Managers {
        let [usual, touching] = match on_limit {
            OnLimit::RefuseNew => &*REFUSING,
            _ => &*EVICTING,
        };
        Managers {
            usual: Sessions::new(store.clone(), usual.clone()),
            touching: Sessions::new(store.clone(), touching.clone()),
        }
    }
}

static EVICTING: LazyLock<[Config; 2]> = LazyLock::new(|| configs(OnLimit::EvictOldest));
static REFUSING: LazyLock<[Config; 2]> = LazyLock::new(|| configs(OnLimit::RefuseNew));

fn configs(on_limit: OnLimit) -> [Config; 2] {
    let config = || {
        let config = Config::builder().max_sessions_per_user(LIMIT).on_limit(on_limit);
        // the schedule decides when something happens, not the clock
        config.store_timeout(Duration::from_secs(60))
    };
    [config().build().unwrap(), config().touch_interval(Duration::ZERO).build().unwrap()]
}

/// What a browser holds, and what it came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    cookie: Option<HeaderValue>,
    /// The session that was there second.
    second: Option<SessionId>,
    /// Whose sessions were all ended, as it was told.
    pub(crate) ended: Vec<UserId>,
}

impl Browser {
    /// What each of three browsers begins with.
    pub(crate) async fn three(start: Start, managers: &Managers) -> [Browser; 3] {
        let mut first = Browser::default();
        if start != Start::Nobody {
            first.ask(managers, Act::Save).await;
        }
        if !matches!(start, Start::Devices | Start::Tabs) {
            return [first.clone(), first.clone(), first];
        }
        let mut second = Browser::default();
        for browser in [&mut first, &mut second] {
            browser.ask(managers, Act::SignIn("anna")).await;
        }
        let listed = managers.usual.devices(&anna(), Page::default()).await.unwrap();
        (first.second, second.second) = (Some(listed[0].id), Some(listed[0].id));
        match start {
            Start::Devices => [first.clone(), second, first],
            _ => [first.clone(), first, Browser::default()],
        }
    }

    /// Makes the requests of a program, one after the other.
    pub(crate) async fn run(mut self, managers: Managers, acts: Vec<Act>) -> Browser {
        for act in acts {
            self.ask(&managers, act).await;
        }
        self
    }

    async fn ask(&mut self, managers: &Managers, act: Act) {
        if act == Act::RevokeAnna {
            managers.usual.revoke_user(&anna()).await.expect("the store answers");
            self.ended.push(anna());
            return;
        }
        let manager = if act == Act::Read { &managers.touching } else { &managers.usual };
        let mut headers = HeaderMap::new();
        headers.extend(self.cookie.clone().map(|cookie| (header::COOKIE, cookie)));
        let ongoing = Visit::begin(manager, &Method::GET, &Uri::from_static("/"), &headers).unwrap();
        let session = ongoing.visit().session().await.expect("the store answers");
        let user = session.user();
        let answer = self.act(&session, act).await;
        if answer.is_ok() && act == Act::SignOutEverywhere {
            self.ended.extend(user);
        }
        let (failed, finish) = match ongoing.finish(200).await {
            Ok(finish) => (None, finish),
            Err(failed) => {
                let (error, finish) = failed.into_parts();
                (Some(error), finish)
            }
        };
        for error in [answer.err(), failed].into_iter().flatten() {
            let is_expected = error.is_gone() || error.is_conflict() || error.is_limit() || error.is_signed_out();
            assert!(is_expected, "{act:?}: {error}");
        }
        let mut answered = HeaderMap::new();
        finish.apply(&mut answered);
        if let Some(line) = answered.get(header::SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.parse().unwrap());
        }
    }

    async fn act(&self, session: &Session, act: Act) -> Result<(), Error> {
        match act {
            Act::Read => session.get(NAME).map(drop),
            Act::Save => session.set::<String, str>(NAME, "andrew"),
            Act::Count => session.increment(COUNT, 1).await.map(drop),
            Act::Rotate => session.rotate().await,
            Act::Elevate => session.elevate().await,
            Act::SignIn(user) => session.sign_in(user).await,
            Act::Repeatable => session.sign_in(anna()).repeatable([7; 32], "key").await,
            Act::SignOut => session.sign_out().await,
            Act::SignOutOthers => session.sign_out_others().await.map(drop),
            Act::SignOutEverywhere => session.sign_out_everywhere().await.map(drop),
            Act::SignOutSecond => match self.second {
                Some(id) => session.sign_out_device(&id).await.map(drop),
                None => Ok(()),
            },
            Act::List => session.devices().await.map(drop),
            Act::RevokeAnna => unreachable!("no session is looked at"),
        }
    }
}

/// That all who have asked for one sign-in have one token, which opens the only session.
pub(crate) fn check_repeated(after: &Scene, browsers: &[Browser]) -> Result<(), String> {
    let cookies: Vec<_> = browsers.iter().map(|browser| browser.cookie.as_ref()).collect();
    match after.sessions.values().collect::<Vec<_>>()[..] {
        [only] if only.user.is_some() && cookies[0].is_some() && cookies.iter().all(|cookie| *cookie == cookies[0]) => {
            Ok(())
        }
        _ => Err(format!("one sign-in has led to {cookies:?} and {:?}", after.sessions)),
    }
}

/// That those who were told that all of a user's sessions have ended were told the truth.
pub(crate) fn check_ended(before: &Scene, after: &Scene, browsers: &[Browser]) -> Result<(), String> {
    for user in browsers.iter().flat_map(|browser| &browser.ended) {
        for (id, seen) in &before.sessions {
            if seen.user.as_deref() == Some(user.as_str()) && after.sessions.contains_key(id) {
                return Err(format!("{id} was to be ended with all of {user}'s sessions, and lives"));
            }
        }
    }
    Ok(())
}

pub(crate) fn anna() -> UserId {
    UserId::try_from("anna").unwrap()
}
