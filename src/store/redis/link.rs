//! One multiplexed connection to one server, re-made when it is lost.
//!
//! While it is away calls fail at once instead of queueing. No change is ever sent twice: the client library's own retries
//! are not used, because it cannot know whether a change was made before the answer got lost. A question that only reads is
//! asked once more where its connection broke.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, Value};
use tokio::sync::Notify;

use super::attempts::{Attempts, delays};
use super::client_error::{failed, reason};
use super::durable::{Durability, DurableConnection};
use super::endpoint::{Endpoint, Opened};
use super::near::{Heartbeat, HeartbeatAnswer, Tracking, TrackingSnapshot};
use super::question::Question;
use super::role;
use super::sentinels::PAUSE;
use crate::error::StoreError;

/// An application has one durability or two; one that makes up a new one for each revoke shall not keep a connection for
/// each.
const MOST_DURABLE_CONNECTIONS: usize = 4;
const DEMOTED: &str = "the server is no primary any more";

#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    endpoint: Endpoint,
    timeout: Duration,
    // never held across an await
    state: Mutex<State>,
    attempts: Arc<Attempts>,
    /// For durable revokes alone: one for each durability that was asked for, because a wait is shared by all who wait for the
    /// same.
    durable_connections: tokio::sync::Mutex<Vec<Arc<DurableConnection>>>,
    /// Who wants to know when the connection is lost.
    lost: Option<Arc<Notify>>,
}

enum State {
    Up {
        connection: MultiplexedConnection,
        number: u64,
        /// With a near cache: what this connection sees of its server.
        tracking: Option<Arc<Tracking>>,
    },
    /// Lost; a task is re-making it.
    Down { why: String, number: u64 },
}

/// Why there is no answer.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Where the server says the key is, or that it should be asked again. Nothing was done then.
    pub(super) elsewhere: Option<Elsewhere>,
    /// Whether the connection was lost with the question on its way.
    broke: bool,
}

pub(super) enum Elsewhere {
    /// `MOVED`: at this address from now on.
    Moved(String),
    /// `ASK`: at this address, this once.
    Ask(String),
    /// `TRYAGAIN`: here, in a moment.
    Soon,
    /// `READONLY` and the like: this server is no primary any more.
    Demoted,
}

impl Link {
    pub(super) async fn connect(
        endpoint: Endpoint,
        timeout: Duration,
        lost: Option<Arc<Notify>>,
    ) -> Result<Link, StoreError> {
        let opened = endpoint.open_for_use(timeout).await;
        let Opened { connection, tracking } =
            opened.map_err(|error| StoreError::new(format!("cannot connect to {endpoint}: {}", reason(&error))))?;
        let state = Mutex::new(State::Up { connection, number: 0, tracking });
        let (watched, silence_limit) = (endpoint.needs_primary(), endpoint.silence_limit());
        let (attempts, durable_connections) = (Arc::new(Attempts::new()), tokio::sync::Mutex::default());
        let shared = Arc::new(Shared { endpoint, timeout, state, attempts, durable_connections, lost });
        if watched {
            tokio::spawn(watch(Arc::downgrade(&shared)));
        }
        if let Some(limit) = silence_limit {
            tokio::spawn(keep_in_sight(Arc::downgrade(&shared), limit));
        }
        Ok(Link(shared))
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.0.state(), State::Up { .. })
    }

    /// Asks one question on the connection. Where there is none, fails at once, or after one attempt to make one that is quick
    /// to fail.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Value, Failure> {
        Ok(self.ask_seen(question).await?.0)
    }

    /// The same, and what would be seen if the answer were to change.
    pub(super) async fn ask_seen(&self, question: Question<'_>) -> Result<(Value, Option<TrackingSnapshot>), Failure> {
        let begun = Instant::now();
        let failure = match self.ask_once(question).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if matches!(failure.elsewhere, Some(Elsewhere::Demoted)) {
            // nothing was done, and the next connection may lead to the primary
            return self.ask_once(question).await;
        }
        let left = self.0.timeout.saturating_sub(begun.elapsed());
        if !failure.broke || !question.changes_nothing() || left.is_zero() {
            return Err(failure);
        }
        tokio::time::timeout(left, self.ask_once(question)).await.unwrap_or(Err(failure))
    }

    async fn ask_once(&self, question: Question<'_>) -> Result<(Value, Option<TrackingSnapshot>), Failure> {
        let (mut connection, number, tracking) = self.connected().await?;
        let seen = tracking.map(|tracking| tracking.seen());
        let answer = question.ask(&mut connection).await.map_err(|error| self.failure(error, number))?;
        Ok((answer, seen))
    }

    /// Asks the server of a slot that is on its way to it.
    pub(super) async fn ask_during_migration(
        &self,
        question: Question<'_>,
        durability: Option<&Durability>,
    ) -> Result<Value, Failure> {
        let (_, number, _) = self.connected().await?;
        let wait = durability.map_or(Duration::ZERO, |durability| durability.timeout);
        let answer = async {
            let mut connection = self.0.endpoint.open(self.0.timeout + wait).await?;
            match durability {
                None => Ok((question.ask_during_migration(&mut connection).await?, Ok(()))),
                Some(durability) => DurableConnection::ask_during_migration(connection, question, durability).await,
            }
        };
        done(answer.await.map_err(|error| self.failure(error, number))?)
    }

    /// Asks, and waits until so many replicas (and disks) have what was changed.
    pub(super) async fn ask_durably(&self, question: Question<'_>, durability: &Durability) -> Result<Value, Failure> {
        match self.ask_durably_once(question, durability).await {
            Err(Failure { elsewhere: Some(Elsewhere::Demoted), .. }) => {
                self.ask_durably_once(question, durability).await
            }
            answer => answer,
        }
    }

    async fn ask_durably_once(&self, question: Question<'_>, durability: &Durability) -> Result<Value, Failure> {
        let (durable, number) = self.durable_connection(durability).await?;
        done(durable.ask(question).await.map_err(|error| self.failure(error, number))?)
    }

    /// The connection for durable revokes; a new one where the last broke, or may lead to a former primary.
    async fn durable_connection(&self, durability: &Durability) -> Result<(Arc<DurableConnection>, u64), Failure> {
        self.connected().await?;
        let mut durable_connections = self.0.durable_connections.lock().await;
        // asked again: whoever had the lock may have found out that the server is away
        let (_, number, _) = self.tracked_connection()?;
        durable_connections.retain(|durable| durable.is_good_beside(number));
        if let Some(durable) = durable_connections.iter().find(|durable| durable.is_for(durability)) {
            return Ok((durable.clone(), number));
        }
        let connection = self.0.endpoint.open(self.0.timeout + durability.timeout).await;
        let connection = connection.map_err(|error| self.failure(error, number))?;
        let new = Arc::new(DurableConnection::new(connection, number, *durability));
        if durable_connections.len() == MOST_DURABLE_CONNECTIONS {
            durable_connections.remove(0);
        }
        durable_connections.push(new.clone());
        Ok((new, number))
    }

    /// The connection, also one that an attempt brings which is quick to fail.
    async fn connected(&self) -> Result<(MultiplexedConnection, u64, Option<Arc<Tracking>>), Failure> {
        if !self.is_up() {
            self.0.attempts.wait(|| !self.is_up(), self.0.timeout).await;
        }
        self.tracked_connection()
    }

    fn tracked_connection(&self) -> Result<(MultiplexedConnection, u64, Option<Arc<Tracking>>), Failure> {
        match &*self.0.state() {
            State::Up { connection, number, tracking } => Ok((connection.clone(), *number, tracking.clone())),
            State::Down { why, .. } => {
                let error = StoreError::new(format!("{} is not connected: {why}", self.0.endpoint));
                Err(Failure { error, elsewhere: None, broke: false })
            }
        }
    }

    fn failure(&self, error: RedisError, number: u64) -> Failure {
        let elsewhere = elsewhere(&error);
        if matches!(elsewhere, Some(Elsewhere::Demoted)) {
            self.lost(number, &error);
        }
        if let (Some(Elsewhere::Moved(_)), State::Up { tracking: Some(tracking), .. }) = (&elsewhere, &*self.0.state())
        {
            // not it alone: what else was read here may be elsewhere, too
            tracking.forget();
        }
        if let Some(code) = error.code() {
            let text = format!("{} refused: {}", self.0.endpoint, reason(&error));
            return Failure { error: StoreError::refused(code.to_owned(), text), elsewhere, broke: false };
        }
        let broke = error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error();
        if broke {
            self.lost(number, &error);
        }
        let error = StoreError::unknown(format!("{} gave no answer: {}", self.0.endpoint, reason(&error)));
        Failure { error, elsewhere, broke }
    }

    /// What this link's connections are asked to show that they live.
    fn heartbeat(&self) -> Heartbeat {
        if self.0.endpoint.leads_to_node() { Heartbeat::Cluster(None) } else { Heartbeat::Role }
    }

    /// Gives up this connection, unless it has been replaced already, and has a new one made.
    fn lost(&self, lost: u64, error: &RedisError) {
        let mut state = self.0.state();
        if let State::Up { number, tracking, .. } = &*state
            && *number == lost
        {
            if let Some(tracking) = tracking {
                tracking.close();
            }
            tracing::warn!(target: "cloakroom", server = %self.0.endpoint, "connection lost: {}", reason(error));
            *state = State::Down { why: reason(error), number: lost };
            self.0.attempts.begin(error.is_timeout());
            tokio::spawn(reconnect(Arc::downgrade(&self.0)));
            if let Some(lost) = &self.0.lost {
                lost.notify_one();
            }
        }
    }
}

/// An answer, unless too few replicas have what it is about.
fn done((answer, reached): (Value, Result<(), StoreError>)) -> Result<Value, Failure> {
    reached.map(|()| answer).map_err(|error| Failure { error, elsewhere: None, broke: false })
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection into use; whether it stands.
    fn restored(&self, opened: RedisResult<Opened>) -> bool {
        let mut state = self.state();
        let State::Down { number, .. } = *state else {
            return true;
        };
        match opened {
            Ok(Opened { connection, tracking }) => {
                tracing::info!(target: "cloakroom", server = %self.endpoint, "connected again");
                *state = State::Up { connection, number: number + 1, tracking };
                self.attempts.end(false);
                true
            }
            Err(error) => {
                *state = State::Down { why: reason(&error), number };
                self.attempts.end(error.is_timeout());
                false
            }
        }
    }
}

/// Tries until it stands, or until nobody holds the link any more.
async fn reconnect(link: Weak<Shared>) {
    for delay in delays() {
        let Some(shared) = link.upgrade() else { return };
        let opened = shared.endpoint.open_for_use(shared.timeout).await;
        if shared.restored(opened) {
            return;
        }
        let attempts = shared.attempts.clone();
        drop(shared);
        attempts.pause(delay).await;
    }
}

/// Gives a connection up whose server is no primary any more, as long as somebody holds the link.
async fn watch(link: Weak<Shared>) {
    // what a near cache serves is as old as the last answer may be
    let limit = link.upgrade().and_then(|link| link.endpoint.silence_limit());
    let pause = limit.map_or(PAUSE, |limit| PAUSE.min(limit / 4));
    loop {
        tokio::time::sleep(pause).await;
        let Some(link) = link.upgrade().map(Link) else { return };
        let Ok((mut connection, number, tracking)) = link.tracked_connection() else { continue };
        if link.0.endpoint.leads_elsewhere(link.0.timeout).await {
            link.lost(number, &failed("the sentinels name another primary"));
        }
        if tracking.is_some() {
            continue; // the near cache asks more often
        }
        match role::is_replica(&mut connection).await {
            Ok(false) => {}
            Ok(true) => link.lost(number, &failed(DEMOTED)),
            Err(error) => drop(link.failure(error, number)),
        }
    }
}

/// Proves again and again that a connection hears what changes, as long as somebody holds the link.
async fn keep_in_sight(link: Weak<Shared>, silence_limit: Duration) {
    let mut heartbeat = None;
    loop {
        tokio::time::sleep(silence_limit / 4).await;
        let Some(link) = link.upgrade().map(Link) else { return };
        let Ok((mut connection, number, Some(tracking))) = link.tracked_connection() else { continue };
        let (_, heartbeat) = match heartbeat.take() {
            Some((last, same)) if last == number => heartbeat.insert((last, same)),
            _ => heartbeat.insert((number, link.heartbeat())),
        };
        match heartbeat.beat(&mut connection, &tracking, silence_limit).await {
            Ok(HeartbeatAnswer::Steady) => {}
            Ok(HeartbeatAnswer::Moved) => link.0.lost.iter().for_each(|changed| changed.notify_one()),
            Ok(HeartbeatAnswer::Demoted) => link.lost(number, &failed(DEMOTED)),
            Err(error) => drop(link.failure(error, number)),
        }
    }
}

/// What a server says of a key that it does not serve. It has done nothing then, so asking elsewhere repeats nothing.
fn elsewhere(error: &RedisError) -> Option<Elsewhere> {
    let address = || error.redirect_node().map(|(address, _)| address.to_owned());
    match error.code()? {
        "MOVED" => address().map(Elsewhere::Moved),
        "ASK" => address().map(Elsewhere::Ask),
        "TRYAGAIN" => Some(Elsewhere::Soon),
        "READONLY" | "MASTERDOWN" => Some(Elsewhere::Demoted),
        // what a script before Redis 7 makes of it
        "ERR" if error.detail().is_some_and(|text| text.contains("-READONLY ")) => Some(Elsewhere::Demoted),
        _ => None,
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.endpoint)
    }
}
