//! Random verbs on a few sessions, for every store that is compared with the reference model.

#![allow(dead_code, unreachable_pub)]

use std::time::{Duration, SystemTime};

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::{Loaded, NewSession, Outcome, Store, Target};
use cloakroom::{
    OnLimit, UserId,
    store::{Change, Credentials, FieldChanges, Fields, Record, Rotation, Save, SignIn, Terms},
};
use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

pub const SECRETS: usize = 3;
const NAMES: [&str; 5] = ["a", "b", "n", "m", "ключ"];
const TEXTS: [&str; 9] =
    ["", "0", "7", "-1", "9223372036854775807", "-9223372036854775808", "007", "andrew", "quite a long text"];

/// A verb on a session by one of its secrets.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a few of them, in a test
pub enum Verb {
    Create { fields: Fields, idle: Option<u64>, deadline: Option<SystemTime> },
    Load,
    Apply(Planned),
    Revoke,
}

/// A change whose new secret does not belong to a session yet.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a few of them, in a test
pub enum Planned {
    Save(Save),
    Rotate { to: usize, drop_previous: bool, fields: FieldChanges },
    SignIn { to: usize, new: SignIn },
}

impl Planned {
    fn change(&self, secrets: &[Credentials]) -> Change {
        let secret = |to: &usize| secrets[*to].secret_hash.expect("it was minted with a secret");
        match self {
            Planned::Save(save) => save.clone().into(),
            Planned::Rotate { to, drop_previous, fields } => {
                Rotation { secret_hash: secret(to), drop_previous: *drop_previous, fields: fields.clone() }.into()
            }
            Planned::SignIn { to, new } => Change::SignIn { new: new.clone(), secret_hash: secret(to) },
        }
    }
}

#[derive(Debug, Clone)]
enum FieldChange {
    Set(String),
    Remove,
    Add(i64),
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(&TEXTS).prop_map(str::to_owned)
}

fn field_change() -> impl Strategy<Value = FieldChange> {
    prop_oneof![
        text().prop_map(FieldChange::Set),
        Just(FieldChange::Remove),
        prop_oneof![Just(1), Just(-1), Just(0), Just(i64::MAX), Just(i64::MIN), any::<i64>()]
            .prop_map(FieldChange::Add),
    ]
}

fn idle() -> impl Strategy<Value = Option<u64>> {
    option::weighted(0.2, prop_oneof![600_u64..3600, Just(999_999)])
}

/// A deadline of a session's own: mostly none, or one that has passed, or before any absolute lifetime ends, or after all.
fn deadline() -> impl Strategy<Value = Option<SystemTime>> {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs();
    let at = prop_oneof![1 => Just(now - 1), 3 => Just(now + 3000), 3 => Just(now + 3001), 1 => Just(99_999_999_999)];
    option::weighted(0.3, at.prop_map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at)))
}

prop_compose! {
    fn fields()(
        changes in btree_map(name(), field_change(), 0..4),
        expect in btree_map(name(), option::of(text()), 0..2),
        expects in prop::bool::weighted(0.2),
        idle in idle(),
        own_deadline in option::weighted(0.2, deadline()),
    ) -> FieldChanges {
        let idle_timeout = idle.map(Duration::from_secs);
        let mut fields = FieldChanges { idle_timeout, own_deadline, ..FieldChanges::default() };
        if expects {
            fields.expect = expect;
        }
        for (name, change) in changes {
            match change {
                FieldChange::Set(text) => drop(fields.set.insert(name, text)),
                FieldChange::Remove => drop(fields.remove.insert(name)),
                FieldChange::Add(by) => drop(fields.add.insert(name, by)),
            }
        }
        fields
    }
}

prop_compose! {
    fn sign_in(most: usize)(
        user in prop::sample::select(&["andrew", "beth"]),
        idle in idle(),
        absolute in option::of(4000_u64..99_999),
        own_deadline in deadline(),
        cookie_max_age in option::of(0_u64..99_999),
        only_again in prop::bool::weighted(0.2),
        device in option::of(text()),
        ip in option::of(text()),
        discard_fields in prop::bool::weighted(0.3),
        on_limit in prop_oneof![Just(OnLimit::EvictOldest), Just(OnLimit::RefuseNew)],
    ) -> SignIn {
        SignIn {
            user: UserId::try_from(user).unwrap(),
            // the idle timeout must be within the absolute lifetime: a configuration and a sign-in check that
            idle_timeout: idle.map(|secs| Duration::from_secs(secs.min(4000))),
            absolute_lifetime: absolute.map(Duration::from_secs),
            own_deadline,
            cookie_max_age: cookie_max_age.map(Duration::from_secs),
            auth_time: None,
            device: device.filter(|text| !text.is_empty()),
            ip: ip.filter(|text| !text.is_empty()),
            discard_fields,
            max_sessions: most,
            on_limit,
            only_again,
        }
    }
}

prop_compose! {
    fn save()(fields in fields(), touch in any::<bool>(), confirm in any::<bool>()) -> Planned {
        Planned::Save(Save { fields, touch, confirm, listed: None })
    }
}

prop_compose! {
    fn rotation()(
        to in 0..SECRETS,
        drop_previous in prop::bool::weighted(0.2),
        fields in fields(),
    ) -> Planned {
        Planned::Rotate { to, drop_previous, fields }
    }
}

fn planned(most: usize) -> impl Strategy<Value = Planned> {
    prop_oneof![
        6 => save(),
        1 => rotation(),
        1 => (0..SECRETS, sign_in(most)).prop_map(|(to, new)| Planned::SignIn { to, new }),
    ]
}

/// A verb, the session, and the secret that is presented. `most` is the limit of a user's sessions.
pub fn step(sessions: usize, most: usize) -> impl Strategy<Value = (usize, usize, Verb)> {
    let verb = prop_oneof![
        2 => (btree_map(name(), text(), 0..3), idle(), deadline())
            .prop_map(|(fields, idle, deadline)| Verb::Create { fields: fields.iter().collect(), idle, deadline }),
        1 => Just(Verb::Load),
        8 => planned(most).prop_map(Verb::Apply),
        1 => Just(Verb::Revoke),
    ];
    // mostly the first secret: otherwise nearly every answer would be "gone"
    (0..sessions, prop_oneof![3 => Just(0), 1 => 0..SECRETS], verb)
}

/// Whether the stores that are compared have one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Same,
    Each,
}

/// What a test may compare: everything but the two stores' times. A deadline of a session's own is not one of these.
pub fn timeless(mut record: Record) -> Record {
    let same = SystemTime::UNIX_EPOCH;
    (record.created_at, record.last_accessed_at) = (same, same);
    if record.own_deadline != Some(record.expires_at) {
        record.expires_at = same;
    }
    record.rotated_at = record.rotated_at.map(|_| same);
    record.auth_time = record.auth_time.map(|_| same);
    record.signed_in_at = record.signed_in_at.map(|_| same);
    if let Some(previous) = &mut record.previous {
        previous.until = previous.until.map(|_| same);
    }
    record
}

fn answer(applied: Outcome) -> Outcome {
    match applied {
        Outcome::Done { loaded, evicted, not_durable } => {
            let loaded =
                Loaded { record: timeless(loaded.record.as_ref().clone()).into(), now: SystemTime::UNIX_EPOCH };
            Outcome::Done { loaded, evicted, not_durable }
        }
        refused => refused,
    }
}

/// The answer of one store to one verb, as text.
pub async fn run<S: Store>(
    store: &S,
    terms: &Terms,
    secrets: &[Credentials],
    secret: usize,
    verb: &Verb,
    times: Times,
) -> String {
    let timeless = |record: &Record| if times == Times::Same { record.clone() } else { timeless(record.clone()) };
    let answer = |applied| if times == Times::Same { applied } else { answer(applied) };
    let presented = &secrets[secret];
    match verb {
        Verb::Create { fields, idle, deadline } => {
            let idle_timeout = idle.map(Duration::from_secs);
            let new = NewSession { idle_timeout, own_deadline: *deadline, ..new_session(*presented, fields.clone()) };
            format!("{:?}", answer(store.create(&new, terms).await.unwrap()))
        }
        Verb::Load => {
            let loaded = store.load(presented, terms).await.unwrap();
            format!("{:?}", loaded.live().map(|loaded| timeless(&loaded.record)))
        }
        Verb::Apply(planned) => {
            format!("{:?}", answer(store.apply(presented, &planned.change(secrets), terms).await.unwrap()))
        }
        Verb::Revoke => format!("{}", store.revoke(&Target::Session(presented.id)).await.unwrap()),
    }
}

/// The tokens of one session. The session begins with the first one.
pub fn secrets() -> [Credentials; SECRETS] {
    let first = mint();
    [first, with_new_secret(&first), with_new_secret(&first)]
}
