//! Tells the application's hook and the log what happens to sessions.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::{SessionId, Target, UserId};

/// How many events may wait for a slow hook before they are dropped.
const WAITING: usize = 4096;

/// Something that happened to a session.
///
/// Pass a function to [`on_event`](crate::ConfigBuilder::on_event) to receive events, for example to tell a user by e-mail about a
/// new device. Every event is also logged, with the target `cloakroom`. An event contains ids and no secrets.
///
/// ```
/// use cloakroom::{Config, Event, Sessions, store::Memory};
///
/// let config = Config::builder()
///     .on_event(|event| match event {
///         Event::SignedIn { session, user } => println!("{user} signed in with session {session}"),
///         Event::Replayed { session, .. } => println!("an old token of session {session} was used: was it stolen?"),
///         _ => {}
///     })
///     .build()?;
/// let sessions = Sessions::new(Memory::new(), config);
/// # Ok::<(), cloakroom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A session was created.
    Created {
        /// The new session.
        session: SessionId,
    },
    /// A user signed in.
    ///
    /// If somebody clicks "sign in" twice at the same moment, there are two events with the same session and user. If the second
    /// click comes after the first sign-in was done, its event is [`Rotated`](Event::Rotated).
    SignedIn {
        /// The session that the user is now signed in with.
        session: SessionId,
        /// The user who signed in.
        user: UserId,
    },
    /// A visitor was taken over from the sessions that the application had before. For a user this event comes in the place of
    /// [`SignedIn`](Event::SignedIn).
    Adopted {
        /// The session that the visitor has now.
        session: SessionId,
        /// The user who is signed in, if somebody is.
        user: Option<UserId>,
    },
    /// A session was given a new secret.
    Rotated {
        /// The session with the new secret.
        session: SessionId,
    },
    /// Sessions were ended on purpose.
    Revoked {
        /// Which sessions were to be ended.
        target: Target,
        /// How many of them were live, and have ended.
        ended: u64,
        /// Why they were ended.
        reason: RevokeReason,
        /// The session whose request asked for it, or `None` if the application did.
        by: Option<SessionId>,
    },
    /// A session was ended because its user signed in once more and had as many sessions as are allowed.
    Evicted {
        /// The session that was ended.
        session: SessionId,
        /// The user of both sessions.
        user: UserId,
        /// The session that signed in.
        by: SessionId,
    },
    /// An old token was used after its grace period: somebody has kept a copy of it.
    Replayed {
        /// The session to which the token belonged.
        session: SessionId,
        /// The user of the session, or `None` if nobody is signed in.
        user: Option<UserId>,
    },
    /// A sign-in was refused, because its user has as many sessions as are allowed.
    SignInRefused {
        /// The user who wanted to sign in.
        user: UserId,
    },
    /// A request was refused because it may come from another site, or because its form did not have the CSRF token of its session.
    CrossSiteRefused {
        /// The session of the request, or `None` if the request was refused before its session was looked at.
        session: Option<SessionId>,
        /// Why the request was refused, for the log.
        reason: &'static str,
    },
}

/// Why sessions were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokeReason {
    /// Their user signed out, on this device or from another one.
    SignedOut,
    /// Another user signed in with the same browser.
    UserSwitched,
    /// A user signed in with a browser that sent several tokens, each of which opened another session.
    SeveralTokens,
    /// The application ended them.
    Application,
    /// An old token was used, and the policy is [`OnReplay::Revoke`](crate::OnReplay::Revoke).
    Replayed,
}

/// The function of the application that receives events.
#[derive(Clone)]
pub(crate) struct Hook(pub(crate) Arc<dyn Fn(&Event) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Passes events on. The hook runs on a thread of its own, so that no request waits for a slow hook, or fails because the hook
/// panics.
pub(crate) struct Events {
    hook: Option<SyncSender<Event>>,
    /// The list of a test, which must have an event before the response is there.
    noted: Option<Arc<Mutex<Vec<Event>>>>,
}

impl Events {
    pub(crate) fn new(hook: Option<&Hook>) -> Events {
        let Some(hook) = hook.cloned() else {
            return Events { hook: None, noted: None };
        };
        let (sender, receiver) = sync_channel::<Event>(WAITING);
        let listening = std::thread::Builder::new().name("cloakroom-events".to_owned()).spawn(move || {
            while let Ok(event) = receiver.recv() {
                if catch_unwind(AssertUnwindSafe(|| hook.0(&event))).is_err() {
                    tracing::error!(target: "cloakroom", ?event, "the event hook panicked");
                }
            }
        });
        if let Err(error) = &listening {
            tracing::error!(target: "cloakroom", %error, "no thread could be started for the event hook: events are only logged");
        }
        Events { hook: listening.is_ok().then_some(sender), noted: None }
    }

    /// Writes all events to this list as well.
    #[cfg(feature = "testing")]
    pub(crate) fn noted_in(self, list: Arc<Mutex<Vec<Event>>>) -> Events {
        Events { noted: Some(list), ..self }
    }

    pub(crate) fn tell(&self, event: Event) {
        match &event {
            Event::Replayed { .. } | Event::SignInRefused { .. } | Event::CrossSiteRefused { .. } => {
                tracing::warn!(target: "cloakroom", ?event);
            }
            _ => tracing::info!(target: "cloakroom", ?event),
        }
        if let Some(list) = &self.noted {
            list.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        }
        if let Some(sender) = &self.hook
            && let Err(TrySendError::Full(event)) = sender.try_send(event)
        {
            tracing::error!(target: "cloakroom", ?event,
                "the event hook is too slow: {WAITING} events wait for it already, so this event is only logged");
        }
    }
}
