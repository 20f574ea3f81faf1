//! What happened, for the application's hook, for the log and for the metrics.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use crate::record::{SessionId, Target, UserId};

/// How many events may wait for a slow hook before they are dropped.
const WAITING: usize = 4096;

/// Something that happened to a session. Holds ids only, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A session was made.
    Created {
        /// Which.
        session: SessionId,
    },
    /// A user signed in with a session.
    ///
    /// Two clicks on "sign in" at the same moment are two events, about the same session and user. A second click that comes
    /// after its sign-in was made is told as [`Rotated`](Event::Rotated).
    SignedIn {
        /// Which.
        session: SessionId,
        /// Who.
        user: UserId,
    },
    /// A session has a new secret.
    Rotated {
        /// Which.
        session: SessionId,
    },
    /// Sessions were ended on purpose.
    Revoked {
        /// Which.
        target: Target,
        /// How many lived.
        ended: u64,
        /// Why.
        reason: RevokeReason,
        /// The session that asked for it; `None` where it was the application.
        by: Option<SessionId>,
    },
    /// A sign-in was one too many for its user, and this session had to go.
    Evicted {
        /// Which.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// The session that signed in.
        by: SessionId,
    },
    /// A previous secret showed up after its grace: somebody has kept a copy of an old token.
    Replayed {
        /// Which.
        session: SessionId,
        /// Whose, if somebody is signed in.
        user: Option<UserId>,
    },
    /// A sign-in was refused, because its user has as many sessions as allowed.
    SignInRefused {
        /// Who.
        user: UserId,
    },
    /// A request from another site was refused, or a form without the session's token.
    CrossSiteRefused {
        /// Whose token was missing; `None` where the request was refused before its session was looked at.
        session: Option<SessionId>,
        /// Why.
        reason: &'static str,
    },
}

/// Why sessions were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokeReason {
    /// Their user signed out, here or from another device.
    SignedOut,
    /// Another user signed in with the same browser.
    UserSwitched,
    /// The browser brought several tokens that each open a session, so that none was taken, and a user signed in.
    SeveralTokens,
    /// The application said so.
    Application,
    /// An old secret was replayed, and the policy is to revoke.
    Replayed,
}

/// The application's hook.
#[derive(Clone)]
pub(crate) struct Hook(pub(crate) Arc<dyn Fn(&Event) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Where events go. The hook runs on a thread of its own: however slow it is, and whether it panics, no request waits
/// for it or fails.
pub(crate) struct Events(Option<SyncSender<Event>>);

impl Events {
    pub(crate) fn new(hook: Option<&Hook>) -> Events {
        let Some(hook) = hook.cloned() else {
            return Events(None);
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
            tracing::error!(target: "cloakroom", %error, "no thread for the event hook: events are only logged");
        }
        Events(listening.is_ok().then_some(sender))
    }

    pub(crate) fn tell(&self, event: Event) {
        match &event {
            Event::Replayed { .. } | Event::SignInRefused { .. } | Event::CrossSiteRefused { .. } => {
                tracing::warn!(target: "cloakroom", ?event);
            }
            _ => tracing::info!(target: "cloakroom", ?event),
        }
        if let Some(sender) = &self.0
            && let Err(TrySendError::Full(event)) = sender.try_send(event)
        {
            tracing::error!(target: "cloakroom", ?event, "the event hook is too slow: an event is only logged");
        }
    }
}
