//! The application: a few servers over one store, with settings of their own, and a handler that does what it is asked.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{Request, Response};
use cloakroom::store::{Store, Terms};
use cloakroom::{Config, Error, Field, OnLimit, OnReplay, Page, Session, SessionId, Sessions, TokenFormat};
use tower::{Layer, ServiceExt, service_fn};

use crate::contents::Contents;
use crate::story::{Act, DAY, Grant, HOUR, MINUTE, USERS};

pub(crate) const SERVERS: usize = 5;
pub(crate) const NAMES: [&str; SERVERS] = ["the shop", "the app", "the desk", "the forum", "the tutorial"];

/// How long ago a sign-in may be that is recent.
pub(crate) const RECENT: u64 = 10 * MINUTE;
/// How long before a sign-in by an identity provider the user proved who they are.
pub(crate) const PROVED_AGO: u64 = 10 * HOUR;

const CART: Field<u64> = Field::new("cart");
const COUNT: Field<i64> = Field::new("count");
const NOTES: Field<Vec<u64>> = Field::new("notes");

/// What a server grants everybody, in seconds, and how it limits them.
pub(crate) struct Rules {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
    pub(crate) touch: Option<u64>,
    pub(crate) rotate_every: Option<u64>,
    /// How long a held secret still reads once the new one was shown here.
    pub(crate) grace: u64,
    /// Whether an old secret that shows up after that ends its session.
    pub(crate) revokes: bool,
    /// How long browsers keep the cookie, where no sign-in said it.
    pub(crate) cookie_age: Option<u64>,
    /// Whether its tokens are plain ones, in a cookie of another name. Then it has neither secrets nor users.
    pub(crate) plain: bool,
    /// Whether it has a near cache, where the store has such a thing.
    pub(crate) near: bool,
    pub(crate) limit: usize,
    pub(crate) refuses: bool,
}

const USUAL: Rules = Rules {
    idle: 30 * MINUTE,
    absolute: 12 * HOUR,
    touch: None,
    rotate_every: None,
    grace: 10,
    revokes: false,
    cookie_age: None,
    plain: false,
    near: false,
    limit: 3,
    refuses: false,
};

pub(crate) const RULES: [Rules; SERVERS] = [
    USUAL,
    Rules { idle: 2 * HOUR, absolute: DAY, rotate_every: Some(HOUR), revokes: true, near: true, limit: 2, ..USUAL },
    Rules { idle: 15 * MINUTE, absolute: 8 * HOUR, grace: 3, limit: 2, refuses: true, ..USUAL },
    Rules {
        idle: 30 * DAY,
        absolute: 30 * DAY,
        touch: Some(0),
        grace: 60,
        near: true,
        cookie_age: Some(20 * DAY),
        ..USUAL
    },
    Rules { idle: HOUR, absolute: DAY, plain: true, ..USUAL },
];

impl Rules {
    pub(crate) fn cookie(&self) -> &'static str {
        if self.plain { "sid" } else { "__Host-sid" }
    }

    /// Whether a request can be answered at all: where there are no secrets, some are mistakes of the application.
    pub(crate) fn allows(&self, act: Act) -> bool {
        !self.plain
            || !matches!(act, Act::SignIn(..) | Act::Rotate | Act::Elevate | Act::RevokeUser(_) | Act::SetDeadline(_))
    }
}

static CONFIGS: LazyLock<Vec<Config>> = LazyLock::new(|| RULES.iter().map(config).collect());

fn config(rules: &Rules) -> Config {
    let policy = if rules.refuses { OnLimit::RefuseNew } else { OnLimit::EvictOldest };
    let mut config = Config::builder()
        .idle_timeout(Duration::from_secs(rules.idle))
        .absolute_lifetime(Duration::from_secs(rules.absolute))
        .rotation_grace(Duration::from_secs(rules.grace))
        .max_sessions_per_user(rules.limit)
        .on_limit(policy)
        .on_replay(if rules.revokes { OnReplay::Revoke } else { OnReplay::Report });
    if let Some(touch) = rules.touch {
        config = config.touch_interval(Duration::from_secs(touch));
    }
    if let Some(interval) = rules.rotate_every {
        config = config.rotate_every(Duration::from_secs(interval));
    }
    if rules.plain {
        config = config.token_format(TokenFormat::Plain);
    }
    config = config.cookie_name(rules.cookie());
    if let Some(age) = rules.cookie_age {
        config = config.cookie_max_age(Duration::from_secs(age));
    }
    // a server that others keep busy answers late
    config.store_timeout(Duration::from_secs(20)).build().expect("the rules do not contradict each other")
}

/// By which an operator looks at a session: those of the server that grants most, or of the one with plain tokens.
pub(crate) fn operators_terms(is_plain: bool) -> Terms {
    let longest = RULES.iter().filter(|rules| rules.plain == is_plain).map(|rules| rules.absolute).max();
    Terms { absolute_lifetime: Duration::from_secs(longest.expect("there is one")), ..Terms::default() }
}

/// How long a sign-in grants a session: without use and at all, where it says so.
pub(crate) fn granted(grant: Grant) -> Option<(u64, u64)> {
    match grant {
        Grant::Usual | Grant::Provider | Grant::Until => None,
        Grant::Remember => Some((14 * DAY, 30 * DAY)),
        Grant::Short => Some((30 * MINUTE, 30 * MINUTE)),
    }
}

/// How long a sign-in has the browser keep the cookie, where it says so; `None` within for until it is closed.
pub(crate) fn cookie_age(grant: Grant) -> Option<Option<u64>> {
    match grant {
        Grant::Usual | Grant::Provider | Grant::Until => None,
        Grant::Remember => Some(Some(30 * DAY)),
        Grant::Short => Some(None),
    }
}

/// What the handler is to do, in the request's extensions.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) act: Act,
    /// What goes into the cart.
    pub(crate) number: u64,
    /// The store's time.
    pub(crate) now: SystemTime,
    /// The session that is meant, where one is.
    pub(crate) id: Option<String>,
}

/// What a request sees of its session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) id: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) contents: Contents,
}

/// What a request was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Number(i64),
    Whether(bool),
    Ids(Vec<String>),
    Names(Vec<String>),
    Notes(Option<Vec<u64>>),
}

/// What the handler knows, in the response's extensions: what was there first, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) before: Option<Seen>,
    pub(crate) told: Result<Told, String>,
}

/// All servers.
pub(crate) struct Servers(Vec<Sessions>);

impl Servers {
    pub(crate) fn over<S: Store + Clone>(store: &S, near: &S) -> Servers {
        let store_of = |rules: &Rules| if rules.near { near.clone() } else { store.clone() };
        let servers = RULES.iter().zip(CONFIGS.iter().cloned());
        Servers(servers.map(|(rules, config)| Sessions::new(store_of(rules), config)).collect())
    }

    pub(crate) async fn ask(&self, server: usize, request: Request<Body>) -> Response<Body> {
        let sessions = self.0[server].clone();
        let handler = service_fn(move |request| handle(sessions.clone(), request));
        self.0[server].layer().layer(handler).oneshot(request).await.expect("the handler cannot fail")
    }
}

async fn handle(sessions: Sessions, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let (parts, _) = request.into_parts();
    let wanted = parts.extensions.get::<Wanted>().expect("every request wants something").clone();
    let mut said = Said { before: None, told: Ok(Told::Nothing) };
    let told = match wanted.act {
        Act::RevokeUser(user) => sessions.revoke_user(USERS[user]).await.map(|ended| Told::Number(ended as i64)),
        Act::RevokeSession(_) => match &wanted.id {
            Some(id) => sessions.revoke(&SessionId::parse(id).unwrap()).await.map(Told::Whether),
            None => Ok(Told::Whether(false)),
        },
        _ => match Session::load(&parts.extensions).await {
            Ok(session) => {
                said.before = Some(see(&session));
                act(&session, &wanted).await
            }
            Err(error) => Err(error),
        },
    };
    let mut response = Response::new(Body::empty());
    if let Err(error) = &told {
        *response.status_mut() = error.status().try_into().unwrap();
    }
    said.told = told.map_err(|error| error.to_string());
    response.extensions_mut().insert(said);
    Ok(response)
}

pub(crate) fn see(session: &Session) -> Seen {
    Seen {
        id: session.id().map(|id| id.expose().to_owned()),
        user: session.user().map(|user| user.to_string()),
        contents: Contents {
            cart: session.get(CART).unwrap(),
            count: session.get(COUNT).unwrap(),
            notes: session.get(NOTES).unwrap(),
        },
    }
}

async fn act(session: &Session, wanted: &Wanted) -> Result<Told, Error> {
    let nothing = |()| Told::Nothing;
    let number = |ended: u64| Told::Number(ended as i64);
    match wanted.act {
        Act::Look => Ok(Told::Nothing),
        Act::Put => session.set(CART, &wanted.number).map(nothing),
        Act::Count => session.increment(COUNT, 1).await.map(Told::Number),
        Act::LookRecent => session.require_recent_sign_in(Duration::from_secs(RECENT)).await.map(nothing),
        Act::Push => session.push(NOTES, &wanted.number).map(nothing),
        Act::Append => {
            let append = |notes: &mut Vec<u64>| {
                notes.push(wanted.number);
                notes.len() as i64
            };
            session.update(NOTES, append).await.map(Told::Number)
        }
        Act::Take => session.take(NOTES).await.map(Told::Notes),
        Act::Clear => session.clear().map(nothing),
        Act::Fields => Ok(Told::Names(session.fields())),
        Act::SetIdle(seconds) => session.set_idle_timeout(Duration::from_secs(seconds)).map(nothing),
        Act::SetDeadline(seconds) => {
            session.set_deadline(seconds.map(|seconds| wanted.now + Duration::from_secs(seconds))).map(nothing)
        }
        Act::Leave => {
            drop(session.csrf_token());
            session.sign_out().await?;
            session.set(CART, &wanted.number).map(nothing)
        }
        Act::Form => {
            drop(session.csrf_token());
            session.refresh().await?;
            session.set(CART, &wanted.number).map(nothing)
        }
        Act::SignIn(user, grant) => sign_in(session, USERS[user], grant, wanted.now).await.map(nothing),
        Act::SignOut => session.sign_out().await.map(nothing),
        Act::SignOutOthers => session.sign_out_others().await.map(number),
        Act::SignOutEverywhere => session.sign_out_everywhere().await.map(number),
        Act::SignOutDevice(_) => match &wanted.id {
            Some(id) => session.sign_out_device(&SessionId::parse(id).unwrap()).await.map(Told::Whether),
            None => Ok(Told::Nothing),
        },
        Act::Devices => {
            let devices = session.devices().await?;
            let current = devices.iter().filter(|device| device.current).count();
            assert!(current <= 1, "a list of devices marks {current} as the current one");
            Ok(Told::Ids(devices.iter().map(|device| device.id.expose().to_owned()).collect()))
        }
        Act::Rotate => session.rotate().await.map(nothing),
        Act::Elevate => session.elevate().await.map(nothing),
        Act::RevokeUser(_) | Act::RevokeSession(_) => unreachable!("these look at no session"),
    }
}

async fn sign_in(session: &Session, user: &str, grant: Grant, now: SystemTime) -> Result<(), Error> {
    let mut signing_in = session.sign_in(user);
    if let Some((idle, absolute)) = granted(grant) {
        signing_in =
            signing_in.idle_timeout(Duration::from_secs(idle)).absolute_lifetime(Duration::from_secs(absolute));
    }
    if let Some(age) = cookie_age(grant) {
        signing_in = signing_in.cookie_max_age(age.map(Duration::from_secs));
    }
    if grant == Grant::Until {
        signing_in = signing_in.deadline(now + Duration::from_secs(HOUR));
    }
    if grant == Grant::Provider {
        signing_in = signing_in.auth_time(now - Duration::from_secs(PROVED_AGO));
    }
    signing_in.await
}

/// The ids of a user's sessions, as an operator lists them.
pub(crate) async fn listed(sessions: &Sessions, user: &str) -> Vec<String> {
    let page = Page { offset: 0, limit: 1000 };
    let devices = sessions.devices(user, page).await.expect("the store answers");
    devices.iter().map(|device| device.id.expose().to_owned()).collect()
}
