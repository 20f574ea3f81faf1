//! A store that an operator looks into: its sessions, found by id without their secrets.

use std::time::Duration;

use cloakroom::store::operate::Inspect;
use cloakroom::store::{Durability, Loaded, Redis, RedisBuilder};
use cloakroom::{Page, SessionId, UserId, store::Terms};

use crate::arguments::is_base64url;
use crate::failure::Failure;
use crate::kept::Kept;
use crate::pace::{Pace, ScanFlags};
use crate::place::{Place, Reach};
use crate::redis_flags::{self, RedisFlags};
use crate::store_flags::StoreFlags;

/// The most seconds that the library takes for any lifetime.
const MOST_SECONDS: u64 = 999_999_999;
/// How much of a plain token is shown: as much as the library's logs show.
const SHOWN_OF_PLAIN: usize = 8;

pub(crate) struct Opened<S = Kept> {
    pub(crate) store: S,
    pub(crate) terms: Terms,
    pub(crate) plain_tokens: bool,
}

impl Opened<Redis> {
    /// Connects to the Redis that the flags or the environment name.
    ///
    /// # Errors
    /// When they name none, or it is not available.
    pub(crate) async fn redis(flags: &StoreFlags) -> Result<Opened<Redis>, Failure> {
        match flags.place()? {
            // what is wrong with a server may be that it is a replica
            Place::Redis(reach) => {
                let builder = looking(&flags.redis, &reach)?.accept_replica();
                Ok(Opened::of(&flags.redis, redis_flags::connect(builder).await?))
            }
            Place::Memory | Place::Embedded(_) => Err(Failure::usage(
                "this verb works with Redis only: name one with --redis-url, with --redis-host or in REDIS_URL",
            )),
        }
    }
}

impl Opened {
    /// Opens the store that the flags or the environment name, to look at it.
    ///
    /// # Errors
    /// When there is none, or it is not available.
    pub(crate) async fn to_look(flags: &StoreFlags) -> Result<Opened, Failure> {
        match flags.place()? {
            Place::Embedded(path) => Ok(Opened::of(&flags.redis, Kept::to_look(&path).await?)),
            place => Opened::in_redis(&place, &flags.redis, None).await,
        }
    }

    /// Opens the store at this place, which must be there, to move its sessions. In a dry run it is only looked at.
    ///
    /// # Errors
    /// When there is none, or it is not available.
    pub(crate) async fn to_move(place: &Place, flags: &RedisFlags, dry_run: bool) -> Result<Opened, Failure> {
        match place {
            Place::Embedded(path) if dry_run => Ok(Opened::of(flags, Kept::to_look(path).await?)),
            Place::Embedded(path) => Ok(Opened::of(flags, Kept::to_move(path).await?)),
            _ => Opened::in_redis(place, flags, None).await,
        }
    }

    /// Opens the store that the flags or the environment name, to end sessions: as durably as this.
    ///
    /// # Errors
    /// When there is none, or it is not available.
    pub(crate) async fn to_change(flags: &StoreFlags, durability: Option<Durability>) -> Result<Opened, Failure> {
        match flags.place()? {
            Place::Embedded(_) if durability.is_some() => Err(Failure::usage(
                "--wait-for-replicas works with Redis only, because a store in a directory has no replicas: leave it out",
            )),
            Place::Embedded(path) => Ok(Opened::of(&flags.redis, Kept::to_change(&path).await?)),
            place => Opened::in_redis(&place, &flags.redis, durability).await,
        }
    }

    async fn in_redis(place: &Place, flags: &RedisFlags, durability: Option<Durability>) -> Result<Opened, Failure> {
        match place {
            Place::Redis(reach) => Ok(Opened::of(flags, Kept::Redis(connected(flags, reach, durability).await?))),
            Place::Memory | Place::Embedded(_) => Err(in_memory()),
        }
    }

    /// Opens the store at this place for sessions that are to come, or makes it. No process may use its directory. In a dry
    /// run it is only looked at.
    ///
    /// # Errors
    /// When it is not available, or its directory is in use.
    pub(crate) async fn to_fill(place: &Place, flags: &RedisFlags, dry_run: bool) -> Result<Opened, Failure> {
        match place {
            Place::Embedded(path) if dry_run => Ok(Opened::of(flags, Kept::to_fill_later(path).await?)),
            Place::Embedded(path) => Ok(Opened::of(flags, Kept::to_fill(path).await?)),
            _ => Opened::in_redis(place, flags, None).await,
        }
    }

    /// A user's sessions, the latest sign-in first.
    ///
    /// # Errors
    /// Where there are no users, or the store is not available.
    pub(crate) async fn sessions_of(&self, user: &UserId, page: Page) -> Result<Vec<SessionId>, Failure> {
        if self.plain_tokens {
            return Err(Failure::usage(
                "sessions with plain tokens have no users: leave out --plain-tokens, or leave out --user",
            ));
        }
        Ok(self.store.sessions_of(user, page, &self.terms).await?)
    }
}

fn in_memory() -> Failure {
    Failure::usage(
        "the sessions in the memory of another process cannot be reached: name a directory with --store, or a Redis",
    )
}

/// A user who may only look, does; what is forbidden to this one is said where it is needed.
fn looking(flags: &RedisFlags, reach: &Reach) -> Result<RedisBuilder, Failure> {
    Ok(flags.builder(reach)?.accept_missing_rights())
}

async fn connected(flags: &RedisFlags, reach: &Reach, durability: Option<Durability>) -> Result<Redis, Failure> {
    let mut builder = looking(flags, reach)?;
    if let Some(durability) = durability {
        builder = builder.durable_revokes(durability);
    }
    redis_flags::connect(builder).await
}

impl<S: Inspect> Opened<S> {
    fn of(flags: &RedisFlags, store: S) -> Opened<S> {
        // Whatever lifetime the application has configured, nothing that it holds for alive may count as ended here.
        let terms = Terms { absolute_lifetime: Duration::from_secs(MOST_SECONDS), ..Terms::default() };
        Opened { store, terms, plain_tokens: flags.plain_tokens() }
    }

    /// A session that lives.
    pub(crate) async fn find(&self, id: &SessionId) -> Result<Option<Loaded>, Failure> {
        let found = self.store.find(id, &self.terms).await?;
        Ok(found.filter(|loaded| loaded.now < loaded.record.ends_at()))
    }

    /// Whether this is an id of the format that the store was said to hold.
    pub(crate) fn is_ours(&self, id: &SessionId) -> bool {
        id.is_plain() == self.plain_tokens
    }
}

impl Opened {
    /// The session that was named on the command line: by its id, or where that is the secret by what the logs show of it.
    ///
    /// # Errors
    /// What it is instead, without repeating it: it may be a token.
    pub(crate) async fn named(&self, text: &str, scan: &ScanFlags) -> Result<SessionId, Failure> {
        if self.plain_tokens {
            return self.beginning_with(text.trim_end_matches('…'), scan).await;
        }
        match SessionId::parse(text) {
            Ok(id) if self.is_ours(&id) => Ok(id),
            Ok(_) => Err(Failure::usage(
                "this is a plain token, which is a secret, and every user of this machine can see the command line: give \
                 --plain-tokens and only the first eight characters of the token",
            )),
            Err(_) if text.contains('.') => Err(Failure::usage(
                "this is a whole token, which is a secret, and every user of this machine can see the command line: end that \
                 session, and give only the session id, which is the part before the dot",
            )),
            Err(_) => Err(Failure::usage(
                "this is not a session id: an id has 22 characters, which are letters, digits, `-` and `_`",
            )),
        }
    }

    async fn beginning_with(&self, start: &str, scan: &ScanFlags) -> Result<SessionId, Failure> {
        if !is_base64url(start) || !(SHOWN_OF_PLAIN..43).contains(&start.len()) {
            return Err(Failure::usage(
                "with --plain-tokens, name a session by the first eight characters of its id, as the logs show them. The whole id \
                 is a secret, and every user of this machine can see the command line",
            ));
        }
        let mut pace = Pace::new(scan);
        let mut found: Vec<SessionId> = Vec::new();
        let mut cursor = None;
        loop {
            let part = pace.scan(&self.store, cursor.as_deref()).await?;
            for id in part.ids.into_iter().filter(|id| self.is_ours(id) && id.expose().starts_with(start)) {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
            match part.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        match found[..] {
            [id] => Ok(id),
            [] => Err(Failure::not_found(format!(
                "there is no session whose id begins with {}",
                &start[..SHOWN_OF_PLAIN]
            ))),
            _ => Err(Failure::failed(format!(
                "{} sessions have an id that begins with {}: give one more character",
                found.len(),
                &start[..SHOWN_OF_PLAIN]
            ))),
        }
    }
}
