//! What the library says has happened: its events and its metrics, counted for the whole process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use cloakroom::Event;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// What the hook was told.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) created: AtomicU64,
    pub(crate) signed_in: AtomicU64,
    pub(crate) rotated: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) evicted: AtomicU64,
}

pub(crate) static EVENTS: LazyLock<Events> = LazyLock::new(Events::default);

pub(crate) fn hear(event: &Event) {
    match event {
        Event::Created { .. } => add(&EVENTS.created, 1),
        Event::SignedIn { .. } => add(&EVENTS.signed_in, 1),
        Event::Rotated { .. } => add(&EVENTS.rotated, 1),
        Event::Revoked { ended, .. } => add(&EVENTS.ended, *ended),
        Event::Evicted { .. } => add(&EVENTS.evicted, 1),
        _ => {}
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::SeqCst);
}

/// What the recorder was told, by name and labels.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<HashMap<Key, Arc<AtomicU64>>>>);

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let recorder = Metrics::default();
    metrics::set_global_recorder(recorder.clone()).expect("there is no other recorder");
    recorder
});

impl Metrics {
    /// The sum over all labels.
    pub(crate) fn total(&self, name: &str) -> u64 {
        let counters = self.0.lock().unwrap();
        let named = counters.iter().filter(|(key, _)| key.name() == name);
        named.map(|(_, counter)| counter.load(Ordering::SeqCst)).sum()
    }
}

impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.0.lock().unwrap().entry(key.clone()).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
