//! Goes through everything that was asked, and looks what the servers have of it.

use std::collections::BTreeSet;

use axum::Router;
use cloakroom::{Page, Sessions};
use tokio::task::JoinSet;

use super::app::{Told, app, sessions};
use super::figures::Figures;
use super::ledger::{Asked, Entry, When};
use super::load::{Worker, is_about};
use super::place::{Fields, Held, Place};
use crate::support::Browser;
use crate::{PATIENT, user_of};

/// Compares what the servers hold with what the application was told, and touches every session on the way.
pub(super) async fn check(place: &Place, workers: &[Worker]) -> Figures {
    let store = place.builder().timeout(PATIENT).connect().await.expect("the servers answer");
    let sessions = sessions(store);
    let mut figures = Figures::default();
    let held = place.look();
    figures.broken.extend(held.scene.immortal.iter().map(|key| format!("{key} has no expiry")));
    strangers(&held, workers, &mut figures);
    for worker in workers {
        for entry in &worker.entries {
            judge(entry, held.fields.get(&entry.id), worker.is_durable, &mut figures);
        }
    }
    figures.misses = held.scene.sessions.iter().filter(|(id, _)| is_missed(&held, id)).count() as u64;

    let touched = touch_all(&sessions, workers, &held, &mut figures).await;
    let held = place.look();
    for id in touched.iter().filter(|id| is_missed(&held, id)) {
        figures.broken.push(format!("the index misses {id} after a touch"));
    }
    for user in workers.iter().flat_map(|worker| &worker.users) {
        lists(&sessions, user, &held, &touched, &mut figures).await;
    }
    figures
}

/// There are no more sessions than were asked for.
fn strangers(held: &Held, workers: &[Worker], figures: &mut Figures) {
    let known: BTreeSet<_> = workers.iter().flat_map(|worker| &worker.entries).map(|entry| &entry.id).collect();
    let strangers = held.scene.sessions.keys().filter(|id| !known.contains(id)).count() as u64;
    let unknown: u64 = workers.iter().map(|worker| worker.unknown_sessions).sum();
    if strangers > unknown {
        figures.broken.push(format!("{strangers} sessions of which nobody knows, {unknown} perhaps made"));
    }
}

/// Whether a session's user has no index that names it.
fn is_missed(held: &Held, id: &str) -> bool {
    let user = held.scene.sessions.get(id).and_then(|seen| seen.user.as_ref());
    user.is_some_and(|user| held.scene.index.get(user).is_none_or(|ids| !ids.contains(id)))
}

/// One session by what stands at its key.
fn judge(entry: &Entry, fields: Option<&Fields>, is_durable: bool, figures: &mut Figures) {
    let user = fields.and_then(|fields| fields.get("user_id"));
    if user.is_some_and(|user| *user != entry.user) {
        figures.broken.push(format!("{} of {} belongs to {user:?}", entry.id, entry.user));
    }
    if entry.sign_in.is_some_and(|sign_in| sign_in.told == Told::NotDone) && user.is_some() {
        figures.broken.push(format!("{} is signed in, which was not done", entry.id));
    }
    judge_fields(entry, fields, figures);
    judge_counter(entry, fields, figures);
    if let Some(revoke) = entry.revoked() {
        let count = if is_durable { &mut figures.durable_revokes } else { &mut figures.revokes };
        return count.add(revoke.when, fields.is_none());
    }
    if let Some(revoke) = entry.revokes.iter().find(|revoke| revoke.told == Told::NotDurable) {
        return figures.not_durable_revokes.add(revoke.when, fields.is_none());
    }
    if !entry.has_perhaps_ended() {
        figures.sessions.add(entry.made, fields.is_some());
        if let Some(Asked { when, .. }) = entry.sign_in.filter(|_| entry.is_signed_in()) {
            figures.sign_ins.add(when, user.is_some());
        }
    }
}

/// Whether a session should be there with all that was acknowledged.
fn should_live(entry: &Entry) -> bool {
    entry.revoked().is_none() && !entry.has_perhaps_ended()
}

fn judge_fields(entry: &Entry, fields: Option<&Fields>, figures: &mut Figures) {
    for (number, asked) in entry.fields.iter().enumerate() {
        let is_there = fields.is_some_and(|fields| fields.contains_key(&format!("f{number}")));
        match asked.told {
            Told::Done if should_live(entry) => figures.fields.add(asked.when, is_there),
            Told::NotDone | Told::Gone if is_there => {
                figures.broken.push(format!("{} has f{number}, which was not set", entry.id));
            }
            _ => {}
        }
    }
}

/// Which of the counts are in the sum cannot be seen: the missing ones are taken to be of when losses may be.
fn judge_counter(entry: &Entry, fields: Option<&Fields>, figures: &mut Figures) {
    let counter = fields.and_then(|fields| fields.get("n")).map_or(0, |text| text.parse().expect("a number"));
    let told = |told| entry.counts.iter().filter(move |count| count.told == told);
    let (done, most) = (told(Told::Done).count(), told(Told::Done).count() + told(Told::Unknown).count());
    if counter > most {
        figures.broken.push(format!("{} was counted {counter} times of {most}", entry.id));
    }
    if !should_live(entry) {
        return;
    }
    let mut missing = done.saturating_sub(counter);
    for when in [When::Failing, When::Returning, When::After, When::Before] {
        for _ in told(Told::Done).filter(|count| count.when == when) {
            figures.counts.add(when, missing == 0);
            missing = missing.saturating_sub(1);
        }
    }
}

/// What a session's browser has, and what came of showing it.
struct Shown {
    id: String,
    /// The number of the token that opened the session, and the answer.
    opened: Option<(usize, String)>,
    /// Whether the token from before the sign-in opens it.
    opens_with_first: bool,
}

/// Shows each session's tokens, the latest first: those that were touched by it.
async fn touch_all(sessions: &Sessions, workers: &[Worker], held: &Held, figures: &mut Figures) -> BTreeSet<String> {
    let entries: Vec<_> = workers.iter().flat_map(|worker| &worker.entries).collect();
    let living: Vec<_> = entries.into_iter().filter(|entry| held.fields.contains_key(&entry.id)).collect();
    let mut touching = JoinSet::new();
    for part in living.chunks(living.len().div_ceil(AT_ONCE).max(1)) {
        let part: Vec<_> = part.iter().map(|entry| (entry.id.clone(), entry.tokens.clone())).collect();
        let app = app(sessions);
        touching.spawn(async move {
            let mut all = Vec::new();
            for (id, tokens) in part {
                all.push(show(&app, id, &tokens).await);
            }
            all
        });
    }
    let shown: Vec<_> = touching.join_all().await.into_iter().flatten().collect();
    let mut touched = BTreeSet::new();
    for shown in shown {
        let entry = living.iter().find(|entry| entry.id == shown.id).expect("it was shown");
        judge_shown(entry, &held.fields[&entry.id], &shown, figures);
        touched.extend(shown.opened.map(|_| shown.id));
    }
    touched
}

/// How many sessions are touched at the same time.
const AT_ONCE: usize = 8;

async fn show(app: &Router, id: String, tokens: &[(String, When)]) -> Shown {
    let mut opened = None;
    for (number, (token, _)) in tokens.iter().enumerate().rev() {
        if let Some(body) = look_with(app, token).await {
            opened = Some((number, body));
            break;
        }
    }
    let opens_with_first = look_with(app, &tokens[0].0).await.is_some();
    Shown { id, opened, opens_with_first }
}

/// What a token opens, if anything.
async fn look_with(app: &Router, token: &str) -> Option<String> {
    let browser = Browser::new(app.clone());
    browser.carry("__Host-sid", token);
    let answer = browser.get("/me").await;
    match Told::by(&answer) {
        Told::Done => Some(answer.body),
        Told::Gone => None,
        _ => panic!("the servers are well: {}", answer.body),
    }
}

/// One session by what its tokens open.
fn judge_shown(entry: &Entry, fields: &Fields, shown: &Shown, figures: &mut Figures) {
    let is_bound = fields.contains_key("user_id");
    if entry.is_signed_in() && is_bound && shown.opens_with_first {
        figures.broken.push(format!("a secret from before the sign-in opens {}", entry.id));
    }
    let latest = entry.tokens.len() - 1;
    match &shown.opened {
        Some((_, body)) if !is_about(entry, body, is_bound) => {
            figures.broken.push(format!("a token of {} opens {body}", entry.id));
        }
        // the answer with the new token was lost
        None if entry.sign_in.is_some_and(|sign_in| sign_in.told == Told::Unknown) => {}
        None => figures.broken.push(format!("no token opens {}", entry.id)),
        // the first is from before the sign-in, the second from the sign-in
        Some((number, _)) => {
            for (at, (_, when)) in entry.tokens.iter().enumerate().skip(2).filter(|_| should_live(entry)) {
                figures.rotations.add(*when, at <= *number || *number == latest);
            }
        }
    }
}

/// Compares a user's list with the sessions that were touched.
async fn lists(sessions: &Sessions, user: &str, held: &Held, touched: &BTreeSet<String>, figures: &mut Figures) {
    let page = Page { offset: 0, limit: 1000 };
    let devices = sessions.devices(&user_of(user), page).await.expect("the servers are well");
    let listed: BTreeSet<_> = devices.iter().map(|device| device.id.to_string()).collect();
    let owner = |id: &String| held.scene.sessions.get(id).and_then(|seen| seen.user.as_deref());
    for id in listed.iter().filter(|id| owner(id) != Some(user)) {
        figures.broken.push(format!("{user} is shown {id}, which is not theirs"));
    }
    for id in touched.iter().filter(|id| owner(id) == Some(user) && !listed.contains(*id)) {
        figures.broken.push(format!("{user} is not shown {id}"));
    }
}
