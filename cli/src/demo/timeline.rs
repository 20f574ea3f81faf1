//! What happened to a user's sessions, as the library tells its hook, in words.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cloakroom::store::Target;
use cloakroom::{Event, SessionId, UserId};

use crate::times;

/// How many events are kept, of all visitors together.
const KEPT: usize = 1000;
/// How many are shown to one.
const SHOWN: usize = 12;

/// The last events, the oldest first. In this process only: another program on the same store has its own.
#[derive(Default)]
pub(crate) struct Timeline(Mutex<VecDeque<Entry>>);

struct Entry {
    at: SystemTime,
    event: Event,
}

/// An event, as a person reads it.
pub(crate) struct Told {
    pub(crate) iso: String,
    pub(crate) of_day: String,
    /// Something was refused or taken away.
    pub(crate) is_bad: bool,
    pub(crate) words: String,
}

/// Whose timeline it is.
pub(crate) struct Reader {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    /// What concerns nobody in particular is told since then.
    pub(crate) signed_in_at: SystemTime,
    /// In how many places a user may be signed in.
    pub(crate) most_places: u64,
}

impl Timeline {
    /// Keeps an event, and lets go of the oldest when there are too many.
    pub(crate) fn record(&self, event: &Event) {
        let mut entries = self.entries();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Entry { at: SystemTime::now(), event: event.clone() });
    }

    /// What concerns this reader's session and user, the latest first.
    pub(crate) fn of(&self, reader: &Reader) -> Vec<Told> {
        let entries = self.entries();
        let theirs: HashSet<SessionId> =
            entries.iter().filter_map(|entry| reader.signed_in_with(&entry.event)).chain([reader.session]).collect();
        let mut told = Vec::new();
        for Entry { at, event } in entries.iter().rev() {
            if let Some((is_bad, words)) = reader.words(event, &theirs, *at)
                && told.len() < SHOWN
            {
                told.push(Told { iso: times::iso(*at), of_day: times::of_day(*at), is_bad, words });
            }
        }
        told
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn signed_in_with(&self, event: &Event) -> Option<SessionId> {
        match event {
            Event::SignedIn { session, user } if *user == self.user => Some(*session),
            _ => None,
        }
    }

    /// The event in words, and whether it is bad news; `None` where it is somebody else's, or nothing.
    fn words(&self, event: &Event, theirs: &HashSet<SessionId>, at: SystemTime) -> Option<(bool, String)> {
        let good = |words: String| Some((false, words));
        let bad = |words: String| Some((true, words));
        match event {
            Event::Created { session } if *session == self.session => good("This session began.".to_owned()),
            Event::SignedIn { session, user } if *user == self.user => match *session == self.session {
                true => good("You signed in here, and the session got a new secret.".to_owned()),
                false => good(format!("You signed in as {} elsewhere.", self.name(session))),
            },
            Event::Rotated { session } if theirs.contains(session) => match *session == self.session {
                true => good("This session got a new secret.".to_owned()),
                false => good(format!("{} got a new secret.", self.name(session))),
            },
            Event::Revoked { target, ended: 1.., by, .. } => self.ending(target, *by, theirs, event),
            Event::Evicted { session, user, by } if *user == self.user => bad(format!(
                "The oldest session, {}, was ended by the sign-in of {}, because a user may be signed in in {}.",
                self.name(session),
                self.name(by),
                places(self.most_places)
            )),
            Event::Replayed { session, .. } if theirs.contains(session) => {
                bad(format!("An old secret of {} was used again: somebody has kept a copy.", self.name(session)))
            }
            Event::SignInRefused { user } if *user == self.user => {
                bad("A sign-in was refused, because there are too many sessions.".to_owned())
            }
            Event::CrossSiteRefused { session: Some(session), reason } if *session == self.session => {
                bad(format!("A form was refused: {reason}."))
            }
            Event::CrossSiteRefused { session: None, reason } if at >= self.signed_in_at => {
                bad(format!("Another site’s form was refused: {reason}."))
            }
            _ => None,
        }
    }

    fn ending(
        &self,
        target: &Target,
        by: Option<SessionId>,
        theirs: &HashSet<SessionId>,
        event: &Event,
    ) -> Option<(bool, String)> {
        let Event::Revoked { ended, .. } = event else { return None };
        let who = match by {
            Some(by) if by == self.session => "You".to_owned(),
            Some(by) => self.name(&by),
            None => "The application".to_owned(),
        };
        let words = match target {
            Target::Session(session) if theirs.contains(session) => format!("{} signed out.", self.name(session)),
            Target::SessionOf(user, session) if *user == self.user => format!("{who} ended {}.", self.name(session)),
            Target::OthersOf(user, _) if *user == self.user => {
                format!("{who} signed out the other sessions: {}.", sessions(*ended))
            }
            Target::AllOf(user) if *user == self.user => format!("{who} signed out everywhere: {}.", sessions(*ended)),
            _ => return None,
        };
        Some((false, words))
    }

    /// `Nº Zk3V0pXq…`, as far as a person compares.
    fn name(&self, session: &SessionId) -> String {
        match *session == self.session {
            true => "this session".to_owned(),
            false => format!("Nº\u{a0}{:.8}…", session.to_string()),
        }
    }
}

/// `3 places`
pub(crate) fn places(count: u64) -> String {
    if count == 1 { "1 place".to_owned() } else { format!("{count} places") }
}

fn sessions(count: u64) -> String {
    if count == 1 { "1 session ended".to_owned() } else { format!("{count} sessions ended") }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const HERE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const THERE: &str = "BBBBBBBBBBBBBBBBBBBBBA";

    fn id(text: &str) -> SessionId {
        SessionId::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn user(name: &str) -> UserId {
        UserId::try_from(name).unwrap_or_else(|error| panic!("{error}"))
    }

    fn read(timeline: &Timeline) -> Vec<String> {
        let reader = Reader { session: id(HERE), user: user("andrew"), signed_in_at: UNIX_EPOCH, most_places: 3 };
        timeline.of(&reader).into_iter().map(|told| told.words).collect()
    }

    #[test]
    fn a_reader_is_told_the_latest_of_their_own_first_and_nothing_of_others() {
        let timeline = Timeline::default();
        for event in [
            Event::Created { session: id(THERE) },
            Event::SignedIn { session: id(THERE), user: user("andrew") },
            Event::Created { session: id(HERE) },
            Event::SignedIn { session: id(HERE), user: user("andrew") },
            Event::SignedIn { session: id("CCCCCCCCCCCCCCCCCCCCCA"), user: user("ben") },
            Event::Rotated { session: id("CCCCCCCCCCCCCCCCCCCCCA") },
            Event::Rotated { session: id(THERE) },
            Event::Evicted { session: id(THERE), user: user("andrew"), by: id(HERE) },
        ] {
            timeline.record(&event);
        }
        assert_eq!(
            read(&timeline),
            [
                "The oldest session, Nº\u{a0}BBBBBBBB…, was ended by the sign-in of this session, because a user may be signed in in 3 places.",
                "Nº\u{a0}BBBBBBBB… got a new secret.",
                "You signed in here, and the session got a new secret.",
                "This session began.",
                "You signed in as Nº\u{a0}BBBBBBBB… elsewhere.",
            ]
        );
    }

    #[test]
    fn only_the_last_events_are_kept_and_shown() {
        let timeline = Timeline::default();
        timeline.record(&Event::Created { session: id(HERE) });
        for _ in 0..KEPT {
            timeline.record(&Event::Rotated { session: id(HERE) });
        }
        assert_eq!(timeline.entries().len(), KEPT);
        assert_eq!(read(&timeline), ["This session got a new secret."; SHOWN]);
    }
}
