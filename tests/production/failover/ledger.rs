//! What was asked for each session, and what the application was told of it.

use super::app::Told;
use crate::support::Browser;

/// When something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// While all was well.
    Before,
    /// While the replicas were left behind and the primary failed, until another one had taken over.
    Failing,
    /// Since another one had taken over, and while the former came back.
    Returning,
    /// When all was well again.
    After,
}

impl When {
    pub(super) const ALL: [When; 4] = [When::Before, When::Failing, When::Returning, When::After];
}

/// One thing that was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) told: Told,
    pub(super) when: When,
}

/// One session, from its first request.
pub(super) struct Entry {
    pub(super) browser: Browser,
    pub(super) id: String,
    pub(super) user: String,
    /// What its browser was given, the latest last, and when.
    pub(super) tokens: Vec<(String, When)>,
    pub(super) made: When,
    pub(super) sign_in: Option<Asked>,
    /// The field `f<n>` was set by the n-th of these.
    pub(super) fields: Vec<Asked>,
    pub(super) counts: Vec<Asked>,
    /// Every attempt to end it, by whichever way.
    pub(super) revokes: Vec<Asked>,
    /// It was found gone although nobody had ended it.
    pub(super) is_gone: bool,
}

impl Entry {
    pub(super) fn new(browser: Browser, id: String, user: String, made: When) -> Entry {
        let mut entry = Entry {
            browser,
            id,
            user,
            tokens: Vec::new(),
            made,
            sign_in: None,
            fields: Vec::new(),
            counts: Vec::new(),
            revokes: Vec::new(),
            is_gone: false,
        };
        entry.note_token(made);
        entry
    }

    /// Keeps the token that the browser carries now, where it is a new one.
    pub(super) fn note_token(&mut self, when: When) {
        let token = self.browser.token();
        if let Some(token) = token.filter(|token| self.tokens.iter().all(|(known, _)| known != token)) {
            self.tokens.push((token, when));
        }
    }

    /// Whether the user is signed in with it, as far as the application knows.
    pub(super) fn is_in_use(&self) -> bool {
        self.is_signed_in() && !self.is_gone && self.revokes.iter().all(|revoke| revoke.told == Told::NotDone)
    }

    pub(super) fn is_signed_in(&self) -> bool {
        self.sign_in.is_some_and(|sign_in| sign_in.told == Told::Done)
    }

    /// The revoke that was acknowledged, if one was.
    pub(super) fn revoked(&self) -> Option<Asked> {
        self.revokes.iter().find(|revoke| revoke.told == Told::Done).copied()
    }

    /// Whether it may have ended although no revoke was acknowledged.
    pub(super) fn has_perhaps_ended(&self) -> bool {
        self.revokes.iter().any(|revoke| matches!(revoke.told, Told::Unknown | Told::NotDurable))
    }
}
