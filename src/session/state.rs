//! What a request knows of its session, and what it has done so far.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::Ended;
use super::pending::Pending;
use crate::credential::Carrier;
use crate::error::{Error, Result};
use crate::record::{
    Change, Credentials, Fields, IndexEntry, Loaded, Lookup, NewSession, Record, SecretHash, Token, TokenFormat,
};
use crate::sessions::{ReadFrom, Sessions};

#[derive(Default)]
pub(super) struct State {
    /// The session of this request, if it has one.
    pub(super) current: Option<Current>,
    /// Tokens that the request brought and that open nothing.
    pub(super) unopened: Vec<Unopened>,
    /// Tokens that the request brought and that open different sessions. Nobody can tell which of them is the visitor's, so
    /// none is taken. A session that is made for this request stands beside them.
    pub(super) rivals: Vec<Credentials>,
    /// Deferred changes.
    pub(super) pending: Pending,
    /// The token that the store does not know yet.
    pub(super) minted: Minted,
    /// Where the request brings its token.
    pub(super) carrier: Carrier,
    /// What the response tells the client about its token.
    pub(super) token: TokenChange,
    /// The response can carry no token: none is minted, and no cookie is set or removed.
    pub(super) without_tokens: bool,
    /// The application has taken a token, and hands it over itself.
    pub(super) is_taken: bool,
    /// The store has said that the token of this request opens nothing any more.
    pub(super) is_lost: bool,
    /// The browser's session of the former system has ended, so its cookie goes.
    pub(super) former_is_over: bool,
    /// A former session is being taken over: its sign-in is not one of the user.
    pub(super) is_taking_over: bool,
    /// This request does not extend the session.
    pub(super) peeking: bool,
    /// The head of the response was sent: nothing can be changed any more.
    pub(super) over: bool,
    /// The session is held outside a request. No browser will get a cookie, so a secret that another request has given the
    /// session is followed.
    pub(super) is_outside: bool,
}

/// The session of a request, and how it is known.
#[derive(Clone)]
pub(super) struct Current {
    /// What is shown to the store: what the request brought, or what was minted since.
    pub(super) presented: Credentials,
    /// The session as it was last seen.
    pub(super) loaded: Loaded,
    /// When the store had answered.
    seen_at: Instant,
    pub(super) source: Source,
}

/// How a request came by its session, or who holds it outside a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The browser brought the token, and the session was read from here.
    Brought(ReadFrom),
    /// The token was minted while answering this request: the browser does not have it yet.
    Minted,
    /// Another request has replaced the secret since: it is not known whether the browser has the new one.
    Followed,
    /// The application knows the session by its id, and nobody has shown a token.
    ById,
}

/// A token that the request brought, and why it opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unopened {
    /// Its session is gone, or lives with another secret.
    Unknown(Credentials),
    /// Its session was ended because its user signed in elsewhere.
    Evicted,
    /// It was replaced some time ago. Its session lives, for its owner.
    Replayed,
}

impl Unopened {
    /// Returns the token if it is not known what became of its session.
    pub(super) fn unknown(&self) -> Option<Credentials> {
        match self {
            Unopened::Unknown(presented) => Some(*presented),
            Unopened::Evicted | Unopened::Replayed => None,
        }
    }
}

/// A token that was minted for this request and that the store does not know yet. It is good for what it was minted for,
/// and for nothing else.
#[derive(Clone, Default)]
pub(super) enum Minted {
    #[default]
    Nothing,
    /// For the session that the commit is going to make. Its secret had to be known before.
    ForCreation(Token),
    /// For the rotation that the commit is going to make. Its secret had to be known before.
    ForRotation(Token),
    /// The store is being asked to take it.
    OnItsWay(Candidate),
}

/// A token, and the question that brings it to the store. It outlives a dropped future: asking again is harmless.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) token: Token,
    pub(super) purpose: Purpose,
}

#[derive(Clone)]
pub(super) enum Purpose {
    Create(Box<NewSession>),
    /// A rotation or a sign-in of the session that these credentials open, with what else changes in the same step.
    Change(Credentials, Box<Change>),
}

impl Purpose {
    /// The fields that are being set, if there may be some.
    pub(super) fn sets(&self) -> Option<&Fields> {
        match self {
            Purpose::Create(new) => Some(&new.fields),
            Purpose::Change(_, change) => change.fields().map(|fields| &fields.set),
        }
    }
}

/// What becomes of the client's token.
#[derive(Debug, Clone, Default)]
pub(crate) enum TokenChange {
    #[default]
    None,
    /// The new token, and how long a browser keeps its cookie. `None` stands for until the browser is closed.
    Set(Token, Option<Duration>),
    /// The session has ended.
    Remove,
}

impl TokenChange {
    pub(super) fn minted(self) -> Option<Token> {
        match self {
            TokenChange::Set(token, _) => Some(token),
            TokenChange::None | TokenChange::Remove => None,
        }
    }
}

/// What a response tells the client about its session.
#[derive(Debug, Default)]
pub(crate) struct ClientChanges {
    pub(crate) cookie: TokenChange,
    /// A new token for a client that keeps its token itself.
    pub(crate) bearer: Option<Token>,
    /// The application has put a token into the body.
    pub(crate) is_taken: bool,
    /// The client's bearer token is of no use any more.
    pub(crate) token_is_invalid: bool,
    /// The browser's cookie of the former system is of no use any more.
    pub(crate) former_is_over: bool,
}

impl State {
    /// Returns the session that these credentials name, as it was last seen, if this request has seen it.
    pub(super) fn loaded_as(&self, presented: &Credentials) -> Option<Loaded> {
        let current = self.current.as_ref().filter(|current| current.presented.id == presented.id)?;
        Some(current.loaded.clone())
    }

    /// Takes in what one of the request's tokens opens.
    pub(super) fn found(&mut self, presented: Credentials, lookup: Lookup, from: ReadFrom) {
        match lookup {
            Lookup::Live(loaded) => self.opened(Current::new(presented, loaded, Source::Brought(from))),
            Lookup::Gone => self.unopened.push(Unopened::Unknown(presented)),
            Lookup::Evicted => self.unopened.push(Unopened::Evicted),
            Lookup::Replayed(_) => self.unopened.push(Unopened::Replayed),
        }
    }

    /// Takes in what the session's own token opens by now.
    pub(super) fn found_again(&mut self, presented: Credentials, lookup: Lookup) {
        match lookup {
            Lookup::Live(loaded) => self.see(loaded),
            gone => {
                self.forget_session();
                self.found(presented, gone, ReadFrom::Store);
            }
        }
    }

    fn opened(&mut self, new: Current) {
        match &self.current {
            None if self.rivals.is_empty() => self.current = Some(new),
            // both secrets of one session, held and current, in cookies of two paths: the current one counts
            Some(current) if current.presented.id == new.presented.id => {
                if new.has_current_secret() {
                    self.current = Some(new);
                }
            }
            _ => {
                self.rivals.extend(self.current.take().map(|current| current.presented));
                self.rivals.push(new.presented);
            }
        }
    }

    /// Takes in the session that a new token opens, and lets the response give this token to the client.
    pub(super) fn hand_out(&mut self, token: Token, loaded: Loaded, sessions: &Sessions) {
        let presented = token.presented();
        self.token = TokenChange::Set(token, sessions.config().cookie_max_age(&loaded.record));
        self.current = Some(Current::new(presented, loaded, Source::Minted));
        self.unopened.clear();
    }

    /// Begins with an empty session, after the former one has ended.
    pub(super) fn start_over(&mut self) {
        let State { carrier, without_tokens, is_taken, former_is_over, peeking, .. } = *self;
        let token = TokenChange::Remove;
        *self = State { token, carrier, without_tokens, is_taken, former_is_over, peeking, ..State::default() };
    }

    /// Returns what to tell the client. A cookie is set or removed only for a client that keeps its token in one. Where the
    /// application has taken the token that replaced the one in the cookie, that cookie opens nothing, and is removed.
    pub(super) fn tell_client(&mut self) -> ClientChanges {
        let (token, is_taken) = (std::mem::take(&mut self.token), self.is_taken);
        let token_is_invalid = self.carrier == Carrier::Bearer && (self.current.is_none() || self.is_lost);
        if self.without_tokens {
            return ClientChanges { token_is_invalid, ..ClientChanges::default() };
        }
        let (cookie, bearer) = match (token, self.carrier) {
            (token, Carrier::Nothing | Carrier::Cookie) if !is_taken => (token, None),
            (token, carrier) => {
                let cookie = if carrier == Carrier::Cookie { TokenChange::Remove } else { TokenChange::None };
                (cookie, token.minted())
            }
        };
        ClientChanges { cookie, bearer, is_taken, token_is_invalid, former_is_over: self.former_is_over }
    }

    /// Leaves this request without a session. What was minted for its session is of no use for another one.
    pub(super) fn forget_session(&mut self) {
        (self.current, self.minted) = (None, Minted::Nothing);
    }

    /// Takes in the session as the store has just answered.
    pub(super) fn see(&mut self, loaded: Loaded) {
        if let Some(current) = &mut self.current {
            current.see(loaded);
            if self.is_outside {
                current.follow();
            }
        }
    }

    /// Returns an error if the response can carry no token.
    pub(super) fn check_tokens(&self) -> Result<()> {
        let reason =
            "cannot get a new token in this visit, whose response can carry none (`Visit::begin_without_tokens`)";
        if self.without_tokens { Err(Error::invalid("the session", reason)) } else { Ok(()) }
    }

    pub(super) fn presented(&self) -> Option<Credentials> {
        self.current.as_ref().map(|current| current.presented)
    }

    /// The session's record as it was last seen.
    pub(super) fn record(&self) -> Option<&Record> {
        self.current.as_ref().map(Current::record)
    }

    /// Returns why the request has no session, if its visitor may know.
    pub(super) fn ended(&self) -> Option<Ended> {
        let was_evicted = self.current.is_none() && self.unopened.contains(&Unopened::Evicted);
        was_evicted.then_some(Ended::SignedInElsewhere)
    }

    /// Mints the token that the commit is going to need, for whoever must know its secret before.
    pub(super) fn mint_ahead(&mut self, sessions: &Sessions) {
        if self.over || self.without_tokens || !matches!(self.minted, Minted::Nothing) {
            return;
        }
        let minted = match &self.current {
            Some(current) if self.rotation_is_due(sessions) => {
                Token::with_new_secret(&current.presented.id).map(Minted::ForRotation)
            }
            None if self.pending.makes_a_session() => Token::mint(TokenFormat::Secret).map(Minted::ForCreation),
            _ => return,
        };
        self.minted = minted.unwrap_or_default();
    }

    /// Returns the hash of the secret that the browser has after this response, or `None` if it will have no session.
    pub(super) fn secret_hash_to_come(&self) -> Option<SecretHash> {
        match &self.minted {
            Minted::Nothing => self.record()?.secret_hash,
            // whatever the session was to be made for was taken back
            Minted::ForCreation(_) if !self.pending.makes_a_session() => None,
            Minted::ForCreation(token) | Minted::ForRotation(token) => token.presented().secret_hash,
            Minted::OnItsWay(candidate) => candidate.token.presented().secret_hash,
        }
    }

    /// Whether it is time for a new secret: by the configured interval, or because the browser will drop the cookie that it
    /// got with the latest secret; and only for the current secret as the browser brought it. A secret from the future is
    /// due as well: the store's clock was set back, and would otherwise have to come to that time first.
    pub(super) fn rotation_is_due(&self, sessions: &Sessions) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        let Loaded { record, now } = &current.loaded;
        let interval = match self.carrier {
            Carrier::Bearer => sessions.config().bearer_rotation_interval(),
            Carrier::Nothing | Carrier::Cookie => sessions.config().rotation_interval(record),
        };
        let Some(interval) = interval else {
            return false;
        };
        let minted_at = record.rotated_at.unwrap_or(record.created_at);
        let is_old = now.duration_since(minted_at).map_or(true, |since| since >= interval);
        is_old && current.is_brought() && !self.peeking && !self.without_tokens && current.has_current_secret()
    }

    /// Whether this request is to extend the session.
    pub(super) fn touch_is_due(&self, sessions: &Sessions) -> bool {
        !self.peeking && self.current.as_ref().is_some_and(|current| current.touch_is_due(sessions))
    }
}

/// The fields, including what this request has set.
impl State {
    pub(super) fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pending.text_of(name, self.stored_text(name))
    }

    pub(super) fn stored_text(&self, name: &str) -> Option<&str> {
        self.stored()?.get(name)
    }

    /// The application's fields as they were last seen.
    pub(super) fn stored(&self) -> Option<&Fields> {
        Some(&self.record()?.fields)
    }

    /// Returns an error if the session would exceed its limits. The store decides in the end; this check names the mistake
    /// where it is made.
    pub(super) fn check_fits(&self, name: &str, text: &str, sessions: &Sessions) -> Result<()> {
        let terms = sessions.config().terms();
        let none = Fields::new();
        let stored = self.stored().unwrap_or(&none);
        let stays = |name: &str| stored.contains_key(name) && !self.pending.replaces(name);
        let kept = stored.iter().filter(|(other, _)| !self.pending.replaces(other));
        let kept = kept.map(|(other, text)| (other, 1, other.len() + text.len()));
        let grown = self
            .pending
            .grows()
            .map(|(other, len)| if stays(other) { (other, 0, len) } else { (other, 1, other.len() + len) });
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
        // a session that is already too large, because the limit was lowered, may be changed but must not grow
        if bytes > terms.max_bytes.max(stored.bytes()) {
            let why = format!("would make the session {bytes} bytes; max_bytes is {}", terms.max_bytes);
            return Err(Error::too_large(format!("field `{name}`"), why));
        }
        Ok(())
    }
}

impl Current {
    pub(super) fn new(presented: Credentials, loaded: Loaded, source: Source) -> Current {
        Current { presented, loaded, seen_at: Instant::now(), source }
    }

    pub(super) fn record(&self) -> &Record {
        &self.loaded.record
    }

    /// Whether the session is due to be extended: by the time since the last touch, not by what is left, because near the
    /// absolute deadline that would touch on every read. A new secret that was presented for the first time is confirmed by
    /// a touch. A record from the future was kept alive by another program, and the store must look at its deadline; or the
    /// store's clock was set back, and its expiry must be set by the clock as it is now.
    fn touch_is_due(&self, sessions: &Sessions) -> bool {
        let Loaded { record, now } = &self.loaded;
        let interval = sessions.config().touch_interval(record.idle_timeout);
        let is_unconfirmed =
            record.previous.is_some_and(|held| held.until.is_none()) && self.is_brought() && self.has_current_secret();
        is_unconfirmed || now.duration_since(record.last_accessed_at).map_or(true, |since| since >= interval)
    }

    /// Whether the secret is the current one, and not the held previous one.
    fn has_current_secret(&self) -> bool {
        self.presented.secret_hash == self.record().secret_hash
    }

    /// Whether the browser has shown the secret.
    pub(super) fn is_brought(&self) -> bool {
        matches!(self.source, Source::Brought(_))
    }

    /// Whether a near cache has answered for the store.
    pub(super) fn may_be_outdated(&self) -> bool {
        self.source == Source::Brought(ReadFrom::Nearest)
    }

    fn see(&mut self, loaded: Loaded) {
        (self.loaded, self.seen_at) = (loaded, Instant::now());
        if self.may_be_outdated() {
            self.source = Source::Brought(ReadFrom::Store);
        }
    }

    /// Takes over the secret that the session has by now. The last one opened the session, so no sign-in was in between.
    fn follow(&mut self) {
        let current = self.record().secret_hash;
        if self.presented.secret_hash != current {
            self.presented.secret_hash = current;
            if self.source != Source::ById {
                self.source = Source::Followed;
            }
        }
    }

    /// Returns the session as it was last seen, with the store's time as it should be by now. A change that is planned with an
    /// old time has to be planned a second time.
    pub(super) fn reckoned(&self) -> Loaded {
        Loaded { record: self.loaded.record.clone(), now: self.loaded.now + self.seen_at.elapsed() }
    }

    /// Returns what the index of the user's sessions says of this one, if somebody is signed in and the session is due to be
    /// extended. The index may have lost it.
    pub(super) fn listed_if_due(&self, sessions: &Sessions) -> Option<IndexEntry> {
        self.touch_is_due(sessions).then(|| self.listed()).flatten()
    }

    /// Returns what the index of the user's sessions says of this one, with the latest deadline that its lifetime allows: for a
    /// session whose deadline may move to later, because the index must not end before it.
    pub(super) fn listed_until_its_latest_deadline(&self, sessions: &Sessions) -> Option<IndexEntry> {
        let expires_at = self.record().latest_deadline(sessions.config().terms());
        self.listed().map(|listed| IndexEntry { expires_at, ..listed })
    }

    fn listed(&self) -> Option<IndexEntry> {
        let record = self.record();
        let (user, signed_in_at) = (record.user_id.clone()?, record.signed_in_at?);
        Some(IndexEntry { user, signed_in_at, expires_at: record.expires_at })
    }
}
