//! A recorder of a test's own, and an application to be counted.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::{Error, Field, Session, Sessions};
use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

/// What this thread counts from now on. A test has one thread, and everything that it starts runs on it.
pub(super) struct Heard {
    recorder: &'static DebuggingRecorder,
    _listening: LocalRecorderGuard<'static>,
}

impl Heard {
    pub(super) fn new() -> Heard {
        // a guard borrows its recorder; a test's may stay until the process ends
        let recorder: &'static DebuggingRecorder = Box::leak(Box::default());
        Heard { recorder, _listening: metrics::set_default_local_recorder(recorder) }
    }

    /// Every counter as `name{label=value}` without what all names begin and end with, and of every histogram how many
    /// values it has got: since the last call.
    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        let told = self.recorder.snapshotter().snapshot().into_vec().into_iter();
        let told = told.map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = key.key().name().trim_start_matches("cloakroom_").trim_end_matches("_total");
            let name = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
            match value {
                DebugValue::Counter(count) => (name, count),
                DebugValue::Histogram(values) => {
                    assert!(values.iter().all(|seconds| (0.0..60.0).contains(&seconds.into_inner())), "{values:?}");
                    (name, values.len() as u64)
                }
                DebugValue::Gauge(_) => panic!("{name} is a gauge"),
            }
        });
        told.collect()
    }

    /// The names that were heard.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let told = self.recorder.snapshotter().snapshot().into_vec().into_iter();
        told.map(|(key, ..)| key.key().name().to_owned()).collect()
    }

    /// Whether each name came with a unit and a description.
    pub(super) fn undescribed(&self) -> Vec<String> {
        let told = self.recorder.snapshotter().snapshot().into_vec().into_iter();
        let bare = told.filter(|(_, unit, text, _)| unit.is_none() || text.is_none());
        bare.map(|(key, ..)| key.key().name().to_owned()).collect()
    }
}

/// What was told, as a test writes it down.
pub(super) fn told(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
    all.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

pub(super) const NAME: Field<String> = Field::new("name");

/// A route for each verb.
pub(super) fn app(sessions: &Sessions) -> Router {
    let sign_in = async |session: Session, user: Path<String>| session.sign_in(user.as_str()).await;
    Router::new()
        .route("/nothing", get(async || ()))
        .route("/read", get(async |session: Session| session.get(NAME).map(Option::unwrap_or_default)))
        .route("/misread", get(async |session: Session| session.get(Field::<u8>::new("name")).map(drop)))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")).post(async || ()))
        .route("/large", get(async |session: Session| session.set(NAME, "x".repeat(70_000).as_str())))
        .route("/count", get(async |session: Session| counted(&session, "count").await))
        .route("/miscount", get(async |session: Session| counted(&session, "name").await))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/sign_in/{user}", get(sign_in))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route("/forged", get(async |session: Session| session.check_csrf("forged")))
        .layer(sessions.layer())
}

async fn counted(session: &Session, name: &'static str) -> Result<(), Error> {
    session.increment(Field::named(name), 1).await.map(drop)
}
