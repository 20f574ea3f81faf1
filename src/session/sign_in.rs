//! Signing in and out: who uses a session, and where else.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::Session;
use super::commit::is_done;
use super::lifetime::stored_deadline;
use super::pending::Pending;
use super::repeatable::{Repeatable, Repetition};
use super::state::Unopened;
use crate::cookie;
use crate::error::{Absence, Error, Result};
use crate::events::{Event, RevokeReason};
use crate::record::{
    self, Change, Credentials, Device, Fields, Loaded, Page, SessionId, SignIn, SignedOut, Target, UserId,
};

impl Session {
    /// Signs a user in: binds the user to this session.
    ///
    /// The session gets a new secret, and its old one is worthless immediately. It gets a new absolute lifetime, and the
    /// limit on the user's sessions is applied. The fields that the visitor had before stay. Immediate: two round trips,
    /// one more for a visitor without a session, and three more if the user has one session too many.
    ///
    /// If another user is signed in, their session is ended first, and nothing of theirs is left in the new session.
    ///
    /// A second click on the button counts as the same sign-in: for as long as
    /// [`rotation_grace`](crate::ConfigBuilder::rotation_grace) lasts, the token that the sign-in has replaced may ask once
    /// more for the same user. There is still one session with its fields, and the tokens of both responses work. A visitor
    /// whose token opens nothing needs one more round trip for this.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// session.sign_in(42).await?;
    /// assert_eq!(session.user().unwrap().as_str(), "42");
    ///
    /// // "remember me"
    /// let month = Duration::from_secs(30 * 24 * 3600);
    /// session.sign_in("ada").idle_timeout(month).absolute_lifetime(month).cookie_max_age(month).await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// | error | when |
    /// | --- | --- |
    /// | [`is_limit`](Error::is_limit) | the user has as many sessions as allowed, and the policy is to refuse another |
    /// | [`is_gone`](Error::is_gone) | the session was ended while it was being signed in, for instance by a sign-out everywhere. What was ended stays ended |
    /// | [`is_conflict`](Error::is_conflict) | another user is signed in, and another request has just replaced the secret of that session |
    /// | [`is_invalid`](Error::is_invalid) | a user id or an option is not allowed, or the deadline has passed |
    /// | [`is_not_durable`](Error::is_not_durable) | the user is signed in and the browser gets its token, but a failure of the store now may undo it |
    /// | [`is_store`](Error::is_store) | the store does not answer |
    /// | [`is_config`](Error::is_config) | plain tokens are configured, which have no sign-in |
    pub fn sign_in<U>(&self, user: U) -> SigningIn<'_>
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        let user = user.try_into().map_err(Error::from);
        SigningIn {
            session: self,
            user,
            idle_timeout: None,
            absolute_lifetime: None,
            deadline: None,
            cookie_max_age: None,
            auth_time: None,
            device: None,
            ip: None,
            discard_fields: false,
            repeatable: None,
        }
    }

    /// Ends the session on the server and then removes the cookie. Immediate: one round trip. What is set afterwards
    /// belongs to a new session.
    ///
    /// To sign out twice is a success: a second click, and a session that has expired or was ended elsewhere, remove the
    /// cookie too. If the request brought several tokens that each open a session, all of these sessions end: one round
    /// trip each.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// session.sign_out().await?;
    /// assert_eq!(session.user(), None);
    /// assert!(!session.exists());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer; the session may then still be
    /// live. Returns [`is_gone`](Error::is_gone) if the request brought an old secret of a live session: the session was
    /// not ended and the cookie stays, because the browser may already have the new secret.
    pub async fn sign_out(&self) -> Result<()> {
        let _turn = self.turn().await?;
        let (current, rivals, unopened) = {
            let state = self.state();
            (state.presented(), state.rivals.clone(), state.unopened.clone())
        };
        let opened: Vec<_> = current.into_iter().chain(rivals).collect();
        if opened.is_empty() && unopened.is_empty() {
            // a visitor who never had a session here
            self.end_former_session().await?;
            self.state().pending = Pending::default();
            return Ok(());
        }
        // if the policy is that a replay ends its session, the session has ended by now
        if opened.is_empty() && unopened.contains(&Unopened::Replayed) && !self.sessions().ends_replayed() {
            return Err(self.gone_because(self.absence()));
        }
        let tokens = if opened.is_empty() { unopened.iter().filter_map(Unopened::unknown).collect() } else { opened };
        self.sign_out_of(&tokens).await.map(drop)
    }

    /// Returns the user's sessions, the latest sign-in first. The one of this request is marked as
    /// [`current`](Device::current). The list is empty if nobody is signed in. Three round trips, and more if some of the
    /// sessions have expired.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").device("Ada's phone").await?;
    /// for device in session.devices().await? {
    ///     println!("{} {:?} {}", device.id, device.label, if device.current { "(this device)" } else { "" });
    /// }
    /// # assert_eq!(session.devices().await?.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if this session has ended meanwhile, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        let Some(user) = self.user() else {
            return Ok(Vec::new());
        };
        self.still_opens().await?;
        let mut devices =
            self.sessions().devices(&user, Page { offset: 0, limit: record::MAX_SESSIONS_PER_USER }).await?;
        let current = self.id();
        for device in &mut devices {
            device.current = Some(device.id) == current;
        }
        Ok(devices)
    }

    /// Signs the user out on one of their devices. Returns true if the session was theirs and was live. Immediate: two
    /// round trips. The session of this request is ended as by [`sign_out`](Session::sign_out).
    ///
    /// The session of another user is not ended, and the answer is the same as for a session that does not exist.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_two_sessions(async |phone, laptop| {
    /// phone.sign_in("ada").await?;
    /// laptop.sign_in("ada").await?;
    /// let lost = phone.id().unwrap();
    /// assert!(laptop.sign_out_device(&lost).await?);
    /// assert_eq!(laptop.devices().await?.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_signed_out`](Error::is_signed_out) if nobody is signed in, [`is_gone`](Error::is_gone) if this session
    /// has ended meanwhile, and a store error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn sign_out_device(&self, id: &SessionId) -> Result<bool> {
        let _turn = self.turn().await?;
        let (user, current) = self.signed_in()?;
        if *id == current {
            let presented = self.presented().ok_or_else(Error::gone)?;
            return self.sign_out_of(&[presented]).await.map(|ended| ended > 0);
        }
        self.still_opens().await?;
        let ended = self.sessions().end(Target::SessionOf(user, *id), RevokeReason::SignedOut, Some(current)).await?;
        Ok(ended > 0)
    }

    /// Signs the user out on all devices but this one. Returns how many sessions ended. Immediate: two round trips, and the
    /// sessions in one parallel flight.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_two_sessions(async |phone, laptop| {
    /// phone.sign_in("ada").await?;
    /// laptop.sign_in("ada").await?;
    /// assert_eq!(laptop.sign_out_others().await?, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_signed_out`](Error::is_signed_out) if nobody is signed in, [`is_gone`](Error::is_gone) if this session
    /// has ended meanwhile, and a store error ([`is_store`](Error::is_store)) if the store does not answer; some sessions
    /// may then still be live.
    pub async fn sign_out_others(&self) -> Result<u64> {
        let _turn = self.turn().await?;
        let (user, current) = self.signed_in()?;
        self.still_opens().await?;
        self.sessions().end(Target::OthersOf(user, current), RevokeReason::SignedOut, Some(current)).await
    }

    /// Signs the user out on all devices, this one included. Returns how many sessions ended. Immediate: two round trips,
    /// and the sessions in one parallel flight.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_two_sessions(async |phone, laptop| {
    /// phone.sign_in("ada").await?;
    /// laptop.sign_in("ada").await?;
    /// assert_eq!(laptop.sign_out_everywhere().await?, 2);
    /// assert_eq!(laptop.user(), None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_signed_out`](Error::is_signed_out) if nobody is signed in, [`is_gone`](Error::is_gone) if this session
    /// has ended meanwhile, and a store error ([`is_store`](Error::is_store)) if the store does not answer; some sessions
    /// may then still be live.
    pub async fn sign_out_everywhere(&self) -> Result<u64> {
        let _turn = self.turn().await?;
        let (user, current) = self.signed_in()?;
        self.still_opens().await?;
        self.end_former_session().await?;
        let ended = self.sessions().end(Target::AllOf(user), RevokeReason::SignedOut, Some(current)).await;
        // a session whose end is not durable has ended, too
        if is_done(&ended) {
            self.state().start_over();
        }
        ended
    }

    /// Ends the sessions that these tokens open, and removes the cookie unless one of them is still live. Returns how many
    /// ended now. One round trip each.
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if one of the tokens is an old secret of a live session. Tries all tokens, and
    /// then returns the first error; that something is not durable is returned only if nothing else failed.
    pub(super) async fn sign_out_of(&self, tokens: &[Credentials]) -> Result<u64> {
        self.end_former_session().await?;
        let ended = self.end_all(tokens, RevokeReason::SignedOut).await;
        if is_done(&ended) {
            self.state().start_over();
        }
        ended
    }

    /// Does so, and leaves what this request knows of its session as it is.
    pub(super) async fn end_all(&self, tokens: &[Credentials], reason: RevokeReason) -> Result<u64> {
        let mut all = Ok(0);
        for presented in tokens {
            let ended = match self.sessions().sign_out(presented, reason).await {
                Ok(SignedOut::Ended) => Ok(1),
                Ok(SignedOut::Gone) => Ok(0),
                Ok(SignedOut::Stale) => Err(self.gone_because(Absence::Stale)),
                Err(error) => Err(error),
            };
            all = match (all, ended) {
                (Ok(all), Ok(ended)) => Ok(all + ended),
                (Err(first), Err(error)) if first.is_not_durable() => Err(error),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        all
    }

    /// Returns an error if the session has ended since this request read it, or if a sign-in has replaced its secret:
    /// whoever had the session then may not see or end the sessions of its user now. One round trip.
    async fn still_opens(&self) -> Result<()> {
        let presented = self.presented().ok_or_else(Error::gone)?;
        self.sessions().load_again(&presented).await?.map(drop).ok_or_else(|| self.gone_because(Absence::Meanwhile))
    }

    /// Returns an error unless the user has proved who they are within this time, by the store's clock. The session is
    /// [refreshed](Session::refresh) for it, so the check does not rely on a near cache: one round trip with a near cache,
    /// none without. (ASVS 7.5.1)
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// let ten_minutes = Duration::from_secs(600);
    /// assert!(session.require_recent_sign_in(ten_minutes).await.unwrap_err().is_signed_out());
    /// session.sign_in("ada").await?;
    /// session.require_recent_sign_in(ten_minutes).await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_signed_out`](Error::is_signed_out) if nobody is signed in, [`is_not_recent`](Error::is_not_recent) if
    /// the last sign-in is too long ago, and a store error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn require_recent_sign_in(&self, within: Duration) -> Result<()> {
        self.refresh().await?;
        self.signed_in()?;
        let state = self.state();
        let current = state.current.as_ref().ok_or_else(|| Error::signed_out(Absence::Meanwhile))?;
        let Loaded { record, now } = &current.loaded;
        let auth_time = record.auth_time.ok_or_else(Error::not_recent)?;
        // a time in the future is one that the application gave, or a clock that was set back: not older than `within`
        let is_recent = now.duration_since(auth_time).unwrap_or_default() <= within;
        if is_recent { Ok(()) } else { Err(Error::not_recent()) }
    }

    fn signed_in(&self) -> Result<(UserId, SessionId)> {
        self.user().zip(self.id()).ok_or_else(|| self.signed_out())
    }

    async fn bind(&self, new: SignIn, repetition: Option<Repetition>) -> Result<()> {
        self.sessions().need_secrets()?;
        let _turn = self.turn().await?;
        // before the session of another user is ended for it
        self.state().check_tokens()?;
        let ended = self.end_former(&new).await;
        if !is_done(&ended) {
            return ended;
        }
        if let Some(repetition) = &repetition
            && self.was_answered(repetition, &new.user).await?
        {
            return ended;
        }
        if !self.exists() && self.bind_again(&new).await? {
            return ended;
        }
        let bound = match self.bind_once(&new, repetition.as_ref()).await {
            // the secret was replaced meanwhile, so the visitor has no session: a new one is made, as for any such visitor
            Err(error) if error.is_conflict() => {
                self.state().forget_session();
                self.bind_anew(&new, repetition.as_ref()).await
            }
            bound => bound,
        };
        bound.and(ended)
    }

    async fn bind_anew(&self, new: &SignIn, repetition: Option<&Repetition>) -> Result<()> {
        let Some(repetition) = repetition else { return self.bind_once(new, None).await };
        // of two at once, the other one was faster
        if self.was_just_answered(repetition, &new.user).await? {
            return Ok(());
        }
        match self.bind_once(new, Some(repetition)).await {
            // the session of this sign-in has gone its own way since: this is a new one
            Err(error) if error.is_conflict() => {
                self.state().forget_session();
                self.bind_once(new, None).await
            }
            bound => bound,
        }
    }

    /// Ends the sessions that must not exist beside the new sign-in: the one of another user, or, if several tokens each
    /// open a session, all of these.
    async fn end_former(&self, new: &SignIn) -> Result<()> {
        let (rivals, former) = {
            let state = self.state();
            let user = state.record().and_then(|record| record.user_id.as_ref());
            (state.rivals.clone(), state.presented().filter(|_| user.is_some_and(|user| *user != new.user)))
        };
        let (tokens, reason) = match former {
            Some(former) => (vec![former], RevokeReason::UserSwitched),
            None => (rivals, RevokeReason::SeveralTokens),
        };
        if tokens.is_empty() {
            return Ok(());
        }
        self.end_former_session().await?;
        let ended = self.end_all(&tokens, reason).await;
        if is_done(&ended) {
            self.state().start_over();
        }
        match ended {
            Err(error) if error.is_gone() => {
                Err(Error::conflict("another request has just replaced the secret of the session that was to be ended"))
            }
            ended => ended.map(drop),
        }
    }

    /// For a request whose tokens open nothing: asks whether this user's sign-in has just replaced one of them, as after a
    /// second click. If so, this request has that session, too, and the answer is true. One round trip for each such token.
    async fn bind_again(&self, new: &SignIn) -> Result<bool> {
        let tokens: Vec<_> = self.state().unopened.iter().filter_map(Unopened::unknown).collect();
        for presented in tokens {
            let new = SignIn { only_again: true, ..new.clone() };
            let bound = self.change_secret(presented, |secret_hash| Change::SignIn { new, secret_hash }).await;
            match bound {
                Err(error) if error.is_gone() || error.is_conflict() => {}
                bound => return bound.map(|()| true),
            }
        }
        Ok(false)
    }

    async fn bind_once(&self, new: &SignIn, repetition: Option<&Repetition>) -> Result<()> {
        // the deferred changes stay deferred, because the sign-in would overwrite an idle timeout
        let made = match repetition {
            _ if self.exists() => Ok(()),
            Some(repetition) => self.create_as(repetition.visitor(), Fields::new(), None, None).await,
            None => self.create_with(Fields::new(), None, None).await,
        };
        if !is_done(&made) {
            return made;
        }
        let presented = self.presented().ok_or_else(Error::gone)?;
        let sign_in = |secret_hash| Change::SignIn { new: new.clone(), secret_hash };
        let bound = match repetition {
            Some(repetition) => self.change_secret_to(repetition.token_after(&presented), presented, sign_in).await,
            None => self.change_secret(presented, sign_in).await,
        };
        if bound.as_ref().is_err_and(Error::is_limit) {
            self.sessions().tell(Event::SignInRefused { user: new.user.clone() });
        }
        bound.and(made)
    }
}

/// A sign-in that still has to be awaited, and its options. [`Session::sign_in`] returns it.
#[must_use = "a sign-in does nothing until it is awaited"]
pub struct SigningIn<'a> {
    pub(super) session: &'a Session,
    pub(super) user: Result<UserId>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) absolute_lifetime: Option<Duration>,
    pub(super) deadline: Option<SystemTime>,
    pub(super) cookie_max_age: Option<Duration>,
    pub(super) auth_time: Option<SystemTime>,
    pub(super) device: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) discard_fields: bool,
    pub(super) repeatable: Option<Result<Repeatable>>,
}

impl SigningIn<'_> {
    /// Gives this session an idle timeout of its own instead of the configured one: "remember me". It must not exceed the
    /// absolute lifetime.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// let two_hours = Duration::from_secs(2 * 3600);
    /// session.sign_in("ada").idle_timeout(two_hours).await?;
    /// assert_eq!(session.idle_timeout(), Some(two_hours));
    /// # Ok(())
    /// # });
    /// ```
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.idle_timeout = Some(idle);
        self
    }

    /// Gives this session an absolute lifetime of its own, from now on, instead of the configured one: "remember me".
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// let month = Duration::from_secs(30 * 24 * 3600);
    /// session.sign_in("ada").idle_timeout(month).absolute_lifetime(month).await?;
    /// assert!(session.remaining() > Some(month / 2));
    /// # Ok(())
    /// # });
    /// ```
    pub fn absolute_lifetime(mut self, absolute: Duration) -> Self {
        self.absolute_lifetime = Some(absolute);
        self
    }

    /// Lets this session end at a point in time, whatever the lifetimes say, such as the end of what an identity provider
    /// vouches for. The absolute lifetime still counts if it ends earlier. Rounded down to whole seconds.
    ///
    /// The deadline stays with the session: neither a request nor a later sign-in moves it, unless they give another one. See
    /// [`Session::set_deadline`].
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::{Duration, SystemTime};
    /// # doctest::with_session(async |session| {
    /// let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    /// session.sign_in("ada").deadline(in_an_hour).await?;
    /// assert!(session.deadline() <= Some(in_an_hour));
    /// # Ok(())
    /// # });
    /// ```
    pub fn deadline(mut self, at: SystemTime) -> Self {
        self.deadline = Some(at);
        self
    }

    /// Makes the browser keep the cookie for this long, even when it is closed, instead of the configured
    /// [`cookie_max_age`](crate::ConfigBuilder::cookie_max_age): "remember me". With `None` the browser keeps the cookie
    /// until it is closed.
    ///
    /// The choice stays with this session. While the visitor keeps coming, the cookie is renewed.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").cookie_max_age(Duration::from_secs(30 * 24 * 3600)).await?;
    /// session.sign_in("ada").cookie_max_age(None).await?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn cookie_max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.cookie_max_age = Some(age.into().unwrap_or_default());
        self
    }

    /// Says when the user proved who they are, if that was not just now, such as the `auth_time` of an identity provider.
    /// The lifetimes run from the sign-in all the same.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # use std::time::SystemTime;
    /// # doctest::with_session(async |session| {
    /// let proved_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    /// session.sign_in("ada").auth_time(proved_at).await?;
    /// assert_eq!(session.auth_time(), Some(proved_at));
    /// # Ok(())
    /// # });
    /// ```
    pub fn auth_time(mut self, time: SystemTime) -> Self {
        self.auth_time = Some(time);
        self
    }

    /// Names the device in the list of devices. At most [`MAX_LABEL_BYTES`](crate::MAX_LABEL_BYTES) are kept. By default
    /// the name is made from the `User-Agent`.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").device("Ada's phone").await?;
    /// assert_eq!(session.devices().await?[0].label.as_deref(), Some("Ada's phone"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn device(mut self, label: impl Into<String>) -> Self {
        self.device = Some(label.into());
        self
    }

    /// Notes the visitor's address for the list of devices. At most [`MAX_LABEL_BYTES`](crate::MAX_LABEL_BYTES) are kept.
    /// By default no address is kept, because only the application knows which one is the visitor's behind a proxy.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// let address = std::net::Ipv4Addr::new(203, 0, 113, 7);
    /// session.sign_in("ada").ip(address).await?;
    /// assert_eq!(session.devices().await?[0].ip.as_deref(), Some("203.0.113.7"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn ip(mut self, ip: impl ToString) -> Self {
        self.ip = Some(ip.to_string());
        self
    }

    /// Drops the fields that the visitor had before.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// session.increment(Field::new("page_views"), 1).await?;
    /// session.sign_in("ada").discard_fields().await?;
    /// assert!(session.fields().is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn discard_fields(mut self) -> Self {
        self.discard_fields = true;
        self
    }

    /// Lets this sign-in be asked for again when its answer was lost: whoever repeats it gets the token that it has made. The
    /// user does not get a second session, nothing is changed, and no second event is sent. Nothing is stored for this,
    /// because the token is derived from `secret` and from the key.
    ///
    /// The secret has at least 32 random bytes, which all servers of the application share and nobody else knows. The key
    /// stands for this one sign-in, such as a random id that your client makes for it; it has 1 to 255 bytes. Two sign-ins of
    /// one user that have the same key by mistake may share a session.
    ///
    /// A repeat must have the same key and user, and bring the cookie that the first one brought. A visitor who has no session
    /// is recognized for at least one minute and at most two. One round trip more for a visitor without a session, and for each
    /// token that opens nothing. The page [Signing in](crate::guide::sign_in#a-sign-in-that-may-be-repeated) says more.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_two_sessions(async |first, second| {
    /// let secret = [42; 32]; // from the configuration: random, and the same for all servers
    ///
    /// first.sign_in("ada").repeatable(&secret, "b7a1e5c0").await?;
    /// // the answer was lost, and the client asks again
    /// second.sign_in("ada").repeatable(&secret, "b7a1e5c0").await?;
    /// assert_eq!(first.id(), second.id());
    /// assert_eq!(second.devices().await?.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// The sign-in returns a configuration error for a secret of less than 32 bytes, and [`is_invalid`](Error::is_invalid), 400,
    /// for a key of no bytes or too many.
    pub fn repeatable(mut self, secret: impl AsRef<[u8]>, key: impl AsRef<str>) -> Self {
        self.repeatable = Some(Repeatable::new(secret.as_ref(), key.as_ref()));
        self
    }

    fn terms(self) -> Result<SignIn> {
        let config = self.session.sessions().config();
        let user = self.user?;
        // a user who proves again who they are keeps what was granted before
        let before = self.session.state().current.as_ref().map(|current| current.loaded.record.clone());
        let before = before.filter(|record| record.user_id.as_ref() == Some(&user));
        let granted = self.absolute_lifetime.or(before.as_ref().and_then(|record| record.absolute_lifetime));
        let absolute = granted.unwrap_or(config.terms.absolute_lifetime);
        let kept_idle = before.as_ref().filter(|_| self.absolute_lifetime.is_none()).map(|record| record.idle_timeout);
        let idle = self.idle_timeout.or(kept_idle).unwrap_or(config.terms.idle_timeout);
        for (what, duration) in [("idle timeout", idle), ("absolute lifetime", absolute)] {
            if let Some(reason) = record::problem_with_lifetime(duration) {
                return Err(Error::malformed(what, reason));
            }
        }
        if self.idle_timeout.is_some() && idle > absolute {
            return Err(Error::malformed(
                "idle timeout",
                format!("must not exceed the absolute lifetime, {absolute:?}"),
            ));
        }
        if let Some(reason) = self.cookie_max_age.filter(|age| !age.is_zero()).and_then(cookie::problem_with_age) {
            return Err(Error::invalid("cookie_max_age", reason));
        }
        let kept_age = before.as_ref().and_then(|record| record.cookie_max_age);
        let user_agent = self.session.0.user_agent.as_ref().and_then(|value| value.to_str().ok());
        let (kept_device, kept_ip) =
            before.map(|record| (record.device.clone(), record.ip.clone())).unwrap_or_default();
        let device = match self.device {
            Some(label) => Some(record::label(&label)),
            None => kept_device.or_else(|| user_agent.and_then(record::label_of_user_agent)),
        };
        Ok(SignIn {
            user,
            idle_timeout: Some(idle.min(absolute)),
            absolute_lifetime: granted,
            own_deadline: self.deadline.map(stored_deadline),
            cookie_max_age: self.cookie_max_age.or(kept_age),
            auth_time: self.auth_time,
            device: device.filter(|label| !label.is_empty()),
            ip: self.ip.map_or(kept_ip, |ip| Some(record::label(&ip))).filter(|ip| !ip.is_empty()),
            discard_fields: self.discard_fields,
            max_sessions: config.max_sessions_per_user,
            on_limit: config.on_limit,
            only_again: false,
        })
    }
}

impl<'a> IntoFuture for SigningIn<'a> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

    fn into_future(mut self) -> Self::IntoFuture {
        let session = self.session;
        Box::pin(async move {
            let repeatable = self.repeatable.take().transpose()?;
            let new = self.terms()?;
            let repetition = repeatable.map(|repeatable| Repetition::new(repeatable, &new.user));
            session.bind(new, repetition).await
        })
    }
}
