//! One multiplexed connection to one server. It is made again when it is lost.
//!
//! While the connection is away, calls fail at once instead of waiting in a queue. No change is ever sent twice. The client
//! library's own retries are not used, because the library cannot know whether a change was made before its answer got lost.
//! A question that only reads is asked once more if its connection broke.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, Value};
use tokio::sync::Notify;

use super::attempts::{Attempts, delays};
use super::client_error::{failed, reason};
use super::durable::{Durability, DurableConnection};
use super::endpoint::{Endpoint, Opened};
use super::moment::Moment;
use super::near::{Heartbeat, HeartbeatAnswer, Tracking, TrackingSnapshot};
use super::question::Question;
use super::role;
use super::sentinels::PAUSE;
use super::server_clock::{ServerClock, Time};
use crate::error::StoreError;

/// The limit on the connections for durable revokes. An application usually has one or two durabilities. An application that
/// makes up a new one for each revoke must not keep a connection for each of them.
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
    /// Connections for durable revokes only. There is one for each durability that was asked for, because all who wait for
    /// the same durability share one wait.
    durable_connections: tokio::sync::Mutex<Vec<Arc<DurableConnection>>>,
    /// Is notified when the connection is lost.
    lost: Option<Arc<Notify>>,
}

enum State {
    Up(Connected),
    /// The connection is lost, and a task is making a new one.
    Down {
        why: String,
        number: u64,
    },
}

/// The connection that is in use.
#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    number: u64,
    /// What this connection sees of its server. Only with a near cache.
    tracking: Option<Arc<Tracking>>,
    clock: Arc<ServerClock>,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) value: Value,
    /// Tells whether the process would hear of a change to the answer. Only with a near cache.
    pub(super) seen: Option<TrackingSnapshot>,
    /// The server's time. Only for a [`Question::Read`].
    pub(super) time: Option<Time>,
}

/// Why a question got no answer.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Where the server says that the key is, or that the question should be asked again. In both cases nothing was done.
    pub(super) elsewhere: Option<Elsewhere>,
    /// Whether the connection was lost while the question was on its way.
    broke: bool,
}

pub(super) enum Elsewhere {
    /// `MOVED`: ask at this address from now on.
    Moved(String),
    /// `ASK`: ask at this address, but only this once.
    Ask(String),
    /// `TRYAGAIN`: ask the same server again in a moment.
    Soon,
    /// `READONLY` and similar errors: this server is no primary any more.
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
        let state = Mutex::new(State::Up(Connected { connection, number: 0, tracking, clock: Arc::default() }));
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
        matches!(*self.0.state(), State::Up(_))
    }

    /// Asks one question on the connection. If there is no connection, waits first for one attempt to make a new one, and
    /// fails if that fails. Fails at once if the attempts take long to fail.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Value, Failure> {
        Ok(self.answer(question).await?.value)
    }

    /// Asks one question like [`ask`](Link::ask), and returns everything that is known about the answer.
    pub(super) async fn answer(&self, question: Question<'_>) -> Result<Answer, Failure> {
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

    async fn ask_once(&self, question: Question<'_>) -> Result<Answer, Failure> {
        let Connected { mut connection, number, tracking, clock } = self.connected().await?;
        let seen = tracking.map(|tracking| tracking.seen());
        let answer = question.ask(&mut connection, &clock).await;
        let (value, time) = answer.map_err(|error| self.failure(error, number))?;
        Ok(Answer { value, seen, time })
    }

    /// Guesses the server's time from when it was last asked. `None` if it was not asked on this connection.
    pub(super) fn guess_time(&self) -> Option<SystemTime> {
        self.connection().ok()?.clock.guess(Moment::now())
    }

    /// Asks a server about a key whose slot is just moving to this server.
    pub(super) async fn ask_during_migration(
        &self,
        question: Question<'_>,
        durability: Option<&Durability>,
    ) -> Result<Answer, Failure> {
        let Connected { number, clock, .. } = self.connected().await?;
        let wait = durability.map_or(Duration::ZERO, |durability| durability.timeout);
        let answer = async {
            let mut connection = self.0.endpoint.open(self.0.timeout + wait).await?;
            match durability {
                None => Ok((question.ask_during_migration(&mut connection, &clock).await?, Ok(()))),
                Some(durability) => {
                    let (value, reached) =
                        DurableConnection::ask_during_migration(connection, question, durability).await?;
                    Ok(((value, None), reached))
                }
            }
        };
        let (value, time) = done(answer.await.map_err(|error| self.failure(error, number))?)?;
        Ok(Answer { value, seen: None, time })
    }

    /// Asks a question, and waits until the change has reached as many replicas (and disks) as the durability demands.
    pub(super) async fn ask_durably(&self, question: Question<'_>, durability: &Durability) -> Result<Answer, Failure> {
        match self.ask_durably_once(question, durability).await {
            Err(Failure { elsewhere: Some(Elsewhere::Demoted), .. }) => {
                self.ask_durably_once(question, durability).await
            }
            answer => answer,
        }
    }

    async fn ask_durably_once(&self, question: Question<'_>, durability: &Durability) -> Result<Answer, Failure> {
        let (durable, number) = self.durable_connection(durability).await?;
        let value = done(durable.ask(question).await.map_err(|error| self.failure(error, number))?)?;
        Ok(Answer { value, seen: None, time: None })
    }

    /// Returns the connection for durable revokes. Opens a new one if the last one broke or may lead to a former primary.
    async fn durable_connection(&self, durability: &Durability) -> Result<(Arc<DurableConnection>, u64), Failure> {
        self.connected().await?;
        let mut durable_connections = self.0.durable_connections.lock().await;
        // checked again: whoever held the lock may have found out that the server is away
        let number = self.connection()?.number;
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

    /// Returns the connection. If it is lost, waits first for one attempt to make a new one, unless the attempts take long to
    /// fail.
    async fn connected(&self) -> Result<Connected, Failure> {
        if !self.is_up() {
            self.0.attempts.wait(|| !self.is_up(), self.0.timeout).await;
        }
        self.connection()
    }

    fn connection(&self) -> Result<Connected, Failure> {
        match &*self.0.state() {
            State::Up(connected) => Ok(connected.clone()),
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
        if let (Some(Elsewhere::Moved(_)), State::Up(Connected { tracking: Some(tracking), .. })) =
            (&elsewhere, &*self.0.state())
        {
            // not only this key: other sessions that were read here may have moved, too
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

    /// Returns the question that this link's connections are asked to show that they are alive.
    fn heartbeat(&self) -> Heartbeat {
        if self.0.endpoint.leads_to_node() { Heartbeat::Cluster(None) } else { Heartbeat::Role }
    }

    /// Gives up this connection and starts to make a new one, unless it has been replaced already.
    fn lost(&self, lost: u64, error: &RedisError) {
        let mut state = self.0.state();
        if let State::Up(Connected { number, tracking, .. }) = &*state
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

/// Returns the answer, or an error if too few replicas have the change.
fn done<T>((answer, reached): (T, Result<(), StoreError>)) -> Result<T, Failure> {
    reached.map(|()| answer).map_err(|error| Failure { error, elsewhere: None, broke: false })
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection into use, if the attempt to open one succeeded. Returns whether the link has a connection now.
    fn restored(&self, opened: RedisResult<Opened>) -> bool {
        let mut state = self.state();
        let State::Down { number, .. } = *state else {
            return true;
        };
        match opened {
            Ok(Opened { connection, tracking }) => {
                tracing::info!(target: "cloakroom", server = %self.endpoint, "connected again");
                let clock = Arc::default(); // perhaps it is another server, with another clock
                *state = State::Up(Connected { connection, number: number + 1, tracking, clock });
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

/// Tries to connect until a connection stands, or until nobody holds the link any more.
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

/// Watches, as long as somebody holds the link, whether the server is still the primary. Gives up the connection if it is
/// not.
async fn watch(link: Weak<Shared>) {
    // a near cache may serve what is as old as the last answer, so with a short silence limit the pause is shorter
    let limit = link.upgrade().and_then(|link| link.endpoint.silence_limit());
    let pause = limit.map_or(PAUSE, |limit| PAUSE.min(limit / 4));
    loop {
        tokio::time::sleep(pause).await;
        let Some(link) = link.upgrade().map(Link) else { return };
        let Ok(Connected { mut connection, number, tracking, .. }) = link.connection() else { continue };
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

/// Proves at intervals, as long as somebody holds the link, that the connection still hears of changes.
async fn keep_in_sight(link: Weak<Shared>, silence_limit: Duration) {
    let mut heartbeat = None;
    loop {
        tokio::time::sleep(silence_limit / 4).await;
        let Some(link) = link.upgrade().map(Link) else { return };
        let Ok(Connected { mut connection, number, tracking: Some(tracking), .. }) = link.connection() else {
            continue;
        };
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

/// Returns where to ask instead, if the server refused because it does not serve the key. The server has done nothing then,
/// so to ask elsewhere repeats nothing.
fn elsewhere(error: &RedisError) -> Option<Elsewhere> {
    let address = || error.redirect_node().map(|(address, _)| address.to_owned());
    match error.code()? {
        "MOVED" => address().map(Elsewhere::Moved),
        "ASK" => address().map(Elsewhere::Ask),
        "TRYAGAIN" => Some(Elsewhere::Soon),
        "READONLY" | "MASTERDOWN" => Some(Elsewhere::Demoted),
        // a script before Redis 7 reports READONLY in this form
        "ERR" if error.detail().is_some_and(|text| text.contains("-READONLY ")) => Some(Elsewhere::Demoted),
        _ => None,
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.endpoint)
    }
}
