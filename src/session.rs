//! The handle that a handler holds: one request's view of its session.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::csrf::Judged;
use crate::error::{Error, Result};
use crate::meter;
use crate::record::{
    Change, Credentials, Field, Fields, Loaded, Lookup, NewSession, PREVIOUS_SECRET_HASH, SECRET_HASH,
    SIGN_IN_SECRET_HASH, SessionId, Token, TokenFormat, UserId, check_name, problem_with_lifetime, value,
};
use crate::sessions::{ReadFrom, Sessions};

mod absence;
mod commit;
mod forms;
mod pending;
mod sign_in;
mod verbs;

use pending::{IsList, Pending};
pub use sign_in::SigningIn;

/// The session of one request. A clone is cheap and stands for the same session.
///
/// Two kinds of methods change a session:
///
/// - **Deferred** methods ([`set`](Session::set), [`remove`](Session::remove), [`clear`](Session::clear),
///   [`push`](Session::push), [`set_idle_timeout`](Session::set_idle_timeout), [`begin`](Session::begin)) collect changes. They
///   are stored together in one step when the response is ready, before its head is sent. A response of 5xx or 408 drops them.
/// - **Immediate** methods (everything that is `async`) have changed the store when they return, whatever the response.
///
/// A visitor without a session has an empty one. It is stored, and a cookie is sent, only when something is written to it.
///
/// ```
/// use cloakroom::{Error, Field, Session};
///
/// const NAME: Field<String> = Field::new("name");
/// const VIEWS: Field<i64> = Field::new("page_views");
///
/// async fn hello(session: Session) -> Result<String, Error> {
///     let views = session.increment(VIEWS, 1).await?; // immediate
///     if session.get(NAME)?.is_none() {
///         session.set(NAME, "Guest")?; // deferred
///     }
///     Ok(format!("You have been here {views} times."))
/// }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    // std's, because it is never held across an await
    state: Mutex<State>,
    /// Verbs that stand at once come one after the other: each begins where the one before ended.
    turn: tokio::sync::Mutex<()>,
    /// What the browser says it is.
    user_agent: Option<HeaderValue>,
    /// A cookie with our name came along, whatever it held.
    has_cookie: bool,
    /// Where the request comes from.
    judged: Judged,
}

#[derive(Default)]
struct State {
    /// What is shown to the store: what the request brought, then what was minted.
    presented: Option<Credentials>,
    /// The session as last seen; `None` for a visitor without one.
    loaded: Option<Loaded>,
    /// Deferred changes.
    pending: Pending,
    /// A token on its way to the store. It outlives a dropped future: asking again is harmless.
    candidate: Option<Candidate>,
    /// What the response tells the browser.
    cookie: CookieChange,
    /// What is presented was minted while answering this request: the browser does not have it yet.
    minted: bool,
    /// It was seen where sessions are kept, and not in a near cache.
    fresh: bool,
    /// Tokens that the request brought and that open nothing.
    unopened: Vec<Unopened>,
    /// Tokens that the request brought and that each open a session: whose it is cannot be told, so none is taken.
    rivals: Vec<Credentials>,
    /// This request does not extend the session.
    peeking: bool,
    /// Why the token opens nothing, where that is known.
    ended: Option<Ended>,
    /// A token for what the commit will make, where its secret had to be known before.
    minted_ahead: Option<MintedAhead>,
    /// The head has left.
    over: bool,
}

/// A token that the request brought, and why it opens nothing.
#[derive(Debug, Clone, Copy)]
enum Unopened {
    /// Its session is gone, or lives with another secret.
    Unknown(Credentials),
    /// Its session was ended because its user signed in elsewhere.
    Evicted,
    /// It was replaced some time ago. Its session lives, for its owner.
    Replayed,
}

impl Unopened {
    /// The token, where it is not known what became of its session.
    fn unknown(&self) -> Option<Credentials> {
        match self {
            Unopened::Unknown(presented) => Some(*presented),
            Unopened::Evicted | Unopened::Replayed => None,
        }
    }
}

/// It is good for what it was minted for, and for nothing else.
enum MintedAhead {
    /// A session that is not there yet.
    Creation(Token),
    /// The next secret of the session with this id.
    Rotation(Token),
}

impl MintedAhead {
    fn token(&self) -> &Token {
        match self {
            MintedAhead::Creation(token) | MintedAhead::Rotation(token) => token,
        }
    }
}

/// Why a session ended, as far as its visitor may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Its user signed in elsewhere, in more places than allowed.
    SignedInElsewhere,
}

#[derive(Clone)]
struct Candidate {
    token: Token,
    purpose: Purpose,
}

#[derive(Clone)]
enum Purpose {
    Create(Box<NewSession>),
    /// A rotation or a sign-in, with what else changes in the same step.
    Change(Box<Change>),
}

#[derive(Debug, Clone, Default)]
pub(crate) enum CookieChange {
    #[default]
    None,
    /// With how long the browser keeps it; `None` stands for until it is closed.
    Set(Token, Option<Duration>),
    Remove,
}

impl Session {
    /// Reads the session that a request's tokens open, if any. One round trip for each, none out of a near cache.
    pub(crate) async fn open(
        sessions: &Sessions,
        brought: &[Credentials],
        user_agent: Option<&HeaderValue>,
        has_cookie: bool,
        judged: Judged,
        from: ReadFrom,
    ) -> Result<Session> {
        let mut state = State::default();
        let mut replays = Vec::new();
        for presented in brought {
            let lookup = sessions.load(presented, from).await?;
            if let Lookup::Replayed(loaded) = &lookup {
                replays.push((presented.id, loaded.record.user_id.clone()));
            }
            state.found(*presented, lookup, from);
        }
        for (session, user) in replays {
            // whoever brings the session's current secret as well has a cookie too many, and has stolen none
            if state.presented.is_none_or(|presented| presented.id != session) {
                sessions.replayed(session, user).await?;
            }
        }
        if !state.rivals.is_empty() {
            let cookie = &sessions.config().cookie.name;
            tracing::warn!(target: "cloakroom", cookie, "several tokens in one request open sessions: none is taken");
        }
        Ok(Session(Arc::new(Inner {
            sessions: sessions.clone(),
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
            user_agent: user_agent.cloned(),
            has_cookie,
            judged,
        })))
    }

    /// Returns true if this request has a stored session, as it was last seen: when the request read or changed it. A handle that
    /// is kept after the response learns by [`refresh`](Session::refresh) whether the session is still live.
    pub fn exists(&self) -> bool {
        self.state().loaded.is_some()
    }

    /// Returns the session's id, or `None` if no session is stored. The id may be logged and shown: it opens nothing.
    pub fn id(&self) -> Option<SessionId> {
        let state = self.state();
        state.loaded.as_ref().and(state.presented).map(|presented| presented.id)
    }

    /// Returns the user who is signed in, as it was last seen (see [`exists`](Session::exists)), or `None`.
    pub fn user(&self) -> Option<UserId> {
        self.state().loaded.as_ref()?.record.user_id.clone()
    }

    /// Returns when the user last proved who they are, or `None` if nobody is signed in.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.state().loaded.as_ref()?.record.auth_time
    }

    /// Returns why the session of this request's token has ended, if that is known. It is known for five minutes after the session
    /// was evicted because its user signed in elsewhere.
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended
    }

    /// Returns the value of a field, including what this request has set.
    ///
    /// Returns `None` if there is no value. It also logs a warning and returns `None` if the stored text is not a `T`, which happens
    /// when another version of the application has written it; use [`try_get`](Session::try_get) to get the error.
    ///
    /// # Errors
    /// Returns an error only for a [named](Field::named) field whose name is not allowed.
    pub fn get<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.check(field.name())?;
        self.try_get(field).or_else(|error| {
            tracing::warn!(target: "cloakroom", session = ?self.id(), %error, "an unreadable value counts as none");
            meter::unreadable("value", 1);
            Ok(None)
        })
    }

    /// Returns the value of a field, or an error if the stored text is not a `T`.
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid), with the name of the field.
    pub fn try_get<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.check(field.name())?;
        let state = self.state();
        let Some(text) = state.text_of(field.name()) else {
            return Ok(None);
        };
        let value = match self.format() {
            TokenFormat::Secret => value::from_text(&text),
            TokenFormat::Plain => value::from_raw_text(&text),
        };
        value.map(Some).map_err(|why| invalid_field(field.name(), why))
    }

    /// Sets a field. Deferred.
    ///
    /// What is accepted is read back unchanged, with one exception: an `Option` within an `Option` in a field of a struct is a single
    /// `Option` in JSON, unless the struct says how to read it.
    ///
    /// ```
    /// # use cloakroom::{Error, Field, Session};
    /// const THEME: Field<String> = Field::new("theme");
    ///
    /// async fn choose(session: Session) -> Result<(), Error> {
    ///     session.set(THEME, "dark")
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns an error and changes nothing if the value cannot be written as JSON or would not be read back unchanged (NaN and
    /// infinite numbers, an empty option in an option, more than 127 levels of lists, maps and structs), if the session would exceed
    /// a limit, or if the name is not allowed.
    pub fn set<T: Borrow<V>, V: Serialize + ?Sized>(&self, field: Field<T>, value: &V) -> Result<()> {
        self.check(field.name())?;
        let text = self.text_for(field.name(), value)?;
        let mut state = self.open_state()?;
        state.check_fits(field.name(), &text, &self.0.sessions).inspect_err(|_| meter::refused("too_large"))?;
        state.pending.set(field.name(), text);
        Ok(())
    }

    /// Removes a field. Deferred. To remove a field that does not exist is not an error and makes no session.
    ///
    /// # Errors
    /// Returns an error only if the name is not allowed, or if the head of the response was already sent.
    pub fn remove<T>(&self, field: Field<T>) -> Result<()> {
        self.check(field.name())?;
        self.open_state()?.pending.remove(field.name());
        Ok(())
    }

    /// Removes all fields of the application that this request knows of, including what it has set or pushed. Deferred.
    ///
    /// The visitor keeps the session and stays signed in. What another request sets meanwhile stays. With plain tokens the fields of
    /// the other program are removed as well.
    ///
    /// # Errors
    /// Returns an error only if the head of the response was already sent.
    pub fn clear(&self) -> Result<()> {
        let mut state = self.open_state()?;
        let State { pending, loaded, candidate, .. } = &mut *state;
        let on_its_way = candidate.as_ref().map(|candidate| match &candidate.purpose {
            Purpose::Create(new) => &new.fields,
            Purpose::Change(change) => &change.delta.set,
        });
        let stored = loaded.as_ref().map(|loaded| &loaded.record.fields);
        pending.clear(stored.into_iter().chain(on_its_way).flat_map(Fields::keys));
        Ok(())
    }

    /// Returns the names of the application's fields in alphabetical order, including what this request has set, without what it has
    /// removed.
    pub fn fields(&self) -> Vec<String> {
        let state = self.state();
        let kept = state.stored().into_iter().flat_map(Fields::keys).filter(|name| !state.pending.replaces(name));
        let names: BTreeSet<&str> = kept.chain(state.pending.grows().map(|(name, _)| name)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Appends a value to a list, such as messages for the next page. Deferred. No value is lost when several requests push at the
    /// same time. [`take`](Session::take) reads the list and empties it.
    ///
    /// ```
    /// # use cloakroom::{Error, Field, Session};
    /// const MESSAGES: Field<Vec<String>> = Field::new("messages");
    ///
    /// async fn save(session: Session) -> Result<(), Error> {
    ///     session.push(MESSAGES, "Your address was saved.")
    /// }
    ///
    /// async fn next_page(session: Session) -> Result<String, Error> {
    ///     Ok(session.take(MESSAGES).await?.unwrap_or_default().join(" "))
    /// }
    /// ```
    ///
    /// A stored text that is not such a list is replaced, with a warning in the log as for [`get`](Session::get).
    ///
    /// The commit takes two more round trips each time another request has changed the list first. If the answer to a
    /// [`commit`](Session::commit) is lost, or its future is dropped, the value was pushed once or not at all.
    ///
    /// # Errors
    /// Returns the errors of [`set`](Session::set), and then changes nothing.
    pub fn push<T, V>(&self, field: Field<Vec<T>>, value: &V) -> Result<()>
    where
        T: Borrow<V> + DeserializeOwned,
        V: Serialize + ?Sized,
    {
        // tells of a text that is no such list
        self.get(field.clone())?;
        let name = field.name();
        let item = value::to_item(value).map_err(|why| unwritable(name, why))?;
        let is_list: IsList = |text| serde_json::from_str::<Vec<T>>(text).is_ok();
        let mut state = self.open_state()?;
        let text = pending::appended(state.text_of(name).as_deref(), std::slice::from_ref(&item), is_list);
        state.check_fits(name, &text, &self.0.sessions).inspect_err(|_| meter::refused("too_large"))?;
        state.pending.push(name, item, is_list);
        Ok(())
    }

    /// Gives this session its own idle timeout from now on. Deferred. A visitor without a session gets none by this alone.
    ///
    /// # Errors
    /// Returns an error unless the timeout is in whole seconds, at least one second and at most the absolute lifetime.
    pub fn set_idle_timeout(&self, idle: Duration) -> Result<()> {
        let terms = self.0.sessions.config().terms();
        let own = self.state().loaded.as_ref().map(|loaded| loaded.record.longest_idle(terms));
        let absolute = own.unwrap_or(terms.absolute_lifetime);
        if let Some(why) = problem_with_lifetime(idle) {
            return Err(Error::malformed("idle timeout", why));
        }
        if idle > absolute {
            return Err(Error::malformed(
                "idle timeout",
                format!("must not exceed the absolute lifetime, {absolute:?}"),
            ));
        }
        self.open_state()?.pending.idle_timeout = Some(idle);
        Ok(())
    }

    /// Returns the idle timeout of this session, or `None` if no session is stored.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.state().loaded.as_ref().map(|loaded| loaded.record.idle_timeout)
    }

    /// Returns how much time the session had left when it was last read or changed, or `None` if no session is stored.
    pub fn remaining(&self) -> Option<Duration> {
        let state = self.state();
        let Loaded { record, now } = state.loaded.as_ref()?;
        Some(record.ends_at().duration_since(*now).unwrap_or_default())
    }

    /// Returns the names and texts of all fields as the store held them when the session was last read or changed, the reserved ones
    /// first. The hashes of secrets are masked.
    pub fn stored(&self) -> Vec<(String, String)> {
        let mut stored = self.state().loaded.as_ref().map(|loaded| loaded.record.to_stored()).unwrap_or_default();
        for (name, text) in &mut stored {
            if self.format() == TokenFormat::Secret
                && [SECRET_HASH, PREVIOUS_SECRET_HASH, SIGN_IN_SECRET_HASH].contains(&name.as_str())
            {
                *text = format!("({} characters, not shown)", text.len());
            }
        }
        stored
    }

    /// Keeps this request from extending the session: it does not count as activity.
    pub fn peek(&self) {
        self.state().peeking = true;
    }

    /// The text under which a value of a field is stored.
    fn text_for<V: Serialize + ?Sized>(&self, name: &str, value: &V) -> Result<String> {
        let text = match self.format() {
            TokenFormat::Secret => value::to_text(value),
            TokenFormat::Plain => value::to_raw_text(value),
        };
        text.map_err(|why| unwritable(name, why))
    }

    fn check(&self, name: &str) -> Result<()> {
        check_name(name, self.format())
    }

    fn format(&self) -> TokenFormat {
        self.0.sessions.config().token_format
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, as long as it can still be changed.
    fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.over { Err(Error::head_sent()) } else { Ok(state) }
    }
}

impl State {
    /// What one of the request's tokens opens.
    fn found(&mut self, presented: Credentials, lookup: Lookup, from: ReadFrom) {
        self.fresh = from == ReadFrom::Store;
        match lookup {
            Lookup::Live(loaded) if self.loaded.is_none() && self.rivals.is_empty() => {
                (self.loaded, self.presented) = (Some(loaded), Some(presented));
            }
            // both secrets of one session, held and current, in cookies of two paths: the current one counts
            Lookup::Live(loaded) if self.presented.is_some_and(|other| other.id == presented.id) => {
                if loaded.record.secret_hash == presented.secret_hash {
                    (self.loaded, self.presented) = (Some(loaded), Some(presented));
                }
            }
            Lookup::Live(_) => {
                self.rivals.extend(self.presented.take());
                self.rivals.push(presented);
                self.loaded = None;
            }
            Lookup::Gone => self.unopened.push(Unopened::Unknown(presented)),
            Lookup::Evicted => self.unopened.push(Unopened::Evicted),
            Lookup::Replayed(_) => self.unopened.push(Unopened::Replayed),
        }
        let was_evicted = self.unopened.iter().any(|token| matches!(token, Unopened::Evicted));
        self.ended = (was_evicted && self.loaded.is_none()).then_some(Ended::SignedInElsewhere);
    }

    /// From here on this request has no session. What was minted for it, or is on its way to it, was only ever its own.
    fn forget_session(&mut self) {
        (self.loaded, self.presented, self.minted_ahead, self.candidate) = (None, None, None, None);
    }

    /// The session as the store has just answered.
    fn see(&mut self, loaded: Loaded) {
        (self.loaded, self.fresh) = (Some(loaded), true);
    }

    /// A field's text with what this request has set.
    fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pending.text_of(name, self.stored_text(name))
    }

    fn stored_text(&self, name: &str) -> Option<&str> {
        self.stored()?.get(name)
    }

    /// The application's fields as last seen.
    fn stored(&self) -> Option<&Fields> {
        Some(&self.loaded.as_ref()?.record.fields)
    }

    /// Whether the session would still be within its limits. The store decides; this says it where the mistake is.
    fn check_fits(&self, name: &str, text: &str, sessions: &Sessions) -> Result<()> {
        let terms = sessions.config().terms();
        let none = Fields::new();
        let stored = self.stored().unwrap_or(&none);
        let stays = |name: &str| stored.contains_key(name) && !self.pending.replaces(name);
        let kept = stored.iter().filter(|(other, _)| !self.pending.replaces(other));
        let kept = kept.map(|(other, text)| (other, 1, other.len() + text.len()));
        let grown = self.pending.grows().map(|(other, len)| match stays(other) {
            true => (other, 0, len),
            false => (other, 1, other.len() + len),
        });
        let others = kept.chain(grown).filter(|(other, ..)| *other != name);
        let (count, bytes) =
            others.fold((1, name.len() + text.len()), |(count, sum), (_, more, bytes)| (count + more, sum + bytes));
        let is_new = self.text_of(name).is_none();
        if is_new && count > terms.max_fields {
            return Err(Error::too_large(
                format!("field `{name}`"),
                format!("would be one more than max_fields, {}", terms.max_fields),
            ));
        }
        // a session that is too large already (a lowered limit) may be changed, but not grow
        if bytes > terms.max_bytes.max(stored.bytes()) {
            let why = format!("would make the session {bytes} bytes; max_bytes is {}", terms.max_bytes);
            return Err(Error::too_large(format!("field `{name}`"), why));
        }
        Ok(())
    }
}

/// What a type cannot be written as is the application's mistake; a value that would not come back may be a visitor's.
fn unwritable(name: &str, why: &'static str) -> Error {
    match why {
        value::NO_JSON => invalid_field(name, why),
        _ => Error::malformed(format!("field `{name}`"), why),
    }
}

fn invalid_field(name: &str, why: &'static str) -> Error {
    Error::invalid(format!("field `{name}`"), why)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id();
        f.debug_struct("Session").field("id", &id).finish_non_exhaustive()
    }
}
