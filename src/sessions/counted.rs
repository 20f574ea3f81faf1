//! What is counted of sessions: how they were found, and what happened to them.
#![cfg_attr(not(feature = "metrics"), allow(unused_variables))]

use crate::csrf;
use crate::events::{Event, RevokeReason};
use crate::meter::{self, count};
#[cfg(feature = "metrics")]
use crate::metrics::*;
use crate::record::Lookup;

pub(super) fn loaded(lookup: &Lookup) {
    match lookup {
        Lookup::Live(_) => count!(1, LOADS, "outcome" => "live"),
        Lookup::Gone => count!(1, LOADS, "outcome" => "gone"),
        Lookup::Evicted => count!(1, LOADS, "outcome" => "evicted"),
        Lookup::Replayed(_) => count!(1, LOADS, "outcome" => "replayed"),
    }
}

pub(super) fn happened(event: &Event) {
    match event {
        Event::Created { .. } => count!(1, CREATED),
        Event::SignedIn { .. } => count!(1, SIGN_INS),
        Event::Adopted { .. } => count!(1, ADOPTED),
        Event::Rotated { .. } => count!(1, ROTATIONS),
        Event::Replayed { .. } => count!(1, REPLAYS),
        Event::Evicted { .. } => count!(1, EVICTED),
        Event::Revoked { ended, reason, .. } => revoked(*ended, *reason),
        Event::CrossSiteRefused { reason: csrf::WRONG_TOKEN, .. } => meter::refused("form"),
        Event::CrossSiteRefused { .. } => meter::refused("cross_site"),
        // counted as what the store answered
        Event::SignInRefused { .. } => {}
    }
}

fn revoked(ended: u64, reason: RevokeReason) {
    match reason {
        RevokeReason::SignedOut => count!(ended, REVOKES, "reason" => "signed_out"),
        RevokeReason::UserSwitched => count!(ended, REVOKES, "reason" => "user_switched"),
        RevokeReason::SeveralTokens => count!(ended, REVOKES, "reason" => "several_tokens"),
        RevokeReason::Application => count!(ended, REVOKES, "reason" => "application"),
        RevokeReason::Replayed => count!(ended, REVOKES, "reason" => "replayed"),
    }
}
