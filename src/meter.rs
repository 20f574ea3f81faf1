//! Counts and times what the library does, for the recorder that the application has installed. Without the feature `metrics` these
//! functions do nothing.
//!
//! The handles of counters are looked up each time and not kept. A handle belongs to the recorder that was installed when it was
//! made: if the application installed its recorder later, a kept handle would count for nobody.
#![cfg_attr(not(feature = "metrics"), allow(unused_variables))]

#[cfg(feature = "metrics")]
use std::{cell::Cell, time::Instant};

#[cfg(feature = "metrics")]
use metrics::{Histogram, IntoF64, Level, Metadata};

#[cfg(feature = "metrics")]
use crate::metrics::*;

#[cfg(feature = "metrics")]
pub(crate) static METADATA: Metadata<'static> = Metadata::new("cloakroom", Level::INFO, Some("cloakroom"));

/// Makes and hashes a name and its labels once. The facade's own macros do it at each call if the name is a constant.
#[cfg(feature = "metrics")]
macro_rules! key {
    ($name:expr $(, $label:literal => $value:literal)?) => {{
        static LABELS: &[::metrics::Label] = &[$(::metrics::Label::from_static_parts($label, $value))?];
        static KEY: ::metrics::Key = ::metrics::Key::from_static_parts($name, LABELS);
        &KEY
    }};
}

/// Adds to a counter.
#[cfg(feature = "metrics")]
macro_rules! count {
    ($by:expr, $name:expr $(, $label:literal => $value:literal)?) => {
        ::metrics::with_recorder(|to| to.register_counter($crate::meter::key!($name $(, $label => $value)?), &$crate::meter::METADATA))
            .increment($by)
    };
    ($by:expr, $name:expr, $($label:literal => $value:expr),+) => {
        ::metrics::counter!($name, $($label => $value),+).increment($by)
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! count {
    ($($nothing:tt)*) => {
        ()
    };
}

pub(crate) use count;
#[cfg(feature = "metrics")]
pub(crate) use key;

/// A verb of a store, as in the label `verb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Load,
    Apply,
    Revoke,
    List,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Load => "load",
            Verb::Apply => "apply",
            Verb::Revoke => "revoke",
            Verb::List => "list",
        }
    }

    /// Returns true if the verb changes nothing.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Verb::Load | Verb::List)
    }
}

/// Counts a failure of the store. `kind` is one of the words in the guide's table.
pub(crate) fn failed(verb: Verb, kind: &'static str) {
    count!(1, STORE_ERRORS, "verb" => verb.name(), "kind" => kind);
}

pub(crate) fn touched() {
    count!(1, TOUCHES);
}

pub(crate) fn committed() {
    count!(1, COMMITS);
}

pub(crate) fn conflicted() {
    count!(1, CONFLICTS);
}

/// Counts a refused change or request. `reason` is one of the words in the guide's table.
pub(crate) fn refused(reason: &'static str) {
    count!(1, REFUSALS, "reason" => reason);
}

/// Counts stored data that cannot be read. `what` is one of the words in the guide's table.
pub(crate) fn unreadable(what: &'static str, how_many: u64) {
    count!(how_many, UNREADABLE, "what" => what);
}

/// Counts what the near cache does.
#[cfg(feature = "redis")]
pub(crate) mod near {
    #[cfg(feature = "metrics")]
    use crate::metrics::*;

    pub(crate) fn hit() {
        count!(1, NEAR_HITS);
    }

    pub(crate) fn missed() {
        count!(1, NEAR_MISSES);
    }

    pub(crate) fn evicted() {
        count!(1, NEAR_EVICTIONS);
    }

    pub(crate) fn invalidated() {
        count!(1, NEAR_INVALIDATIONS);
    }
}

/// Measures how long a verb of the store takes. If it is dropped before its [`end`](Timing::end), because the request was abandoned,
/// nothing is recorded.
pub(crate) struct Timing {
    #[cfg(feature = "metrics")]
    histogram: Histogram,
    #[cfg(feature = "metrics")]
    begin: Option<Instant>,
}

#[cfg(feature = "metrics")]
pub(crate) fn begin(verb: Verb) -> Timing {
    let key = match verb {
        Verb::Create => key!(STORE_SECONDS, "verb" => "create"),
        Verb::Load => key!(STORE_SECONDS, "verb" => "load"),
        Verb::Apply => key!(STORE_SECONDS, "verb" => "apply"),
        Verb::Revoke => key!(STORE_SECONDS, "verb" => "revoke"),
        Verb::List => key!(STORE_SECONDS, "verb" => "list"),
    };
    let histogram = ::metrics::with_recorder(|to| to.register_histogram(key, &METADATA));
    let begin = Cell::new(None);
    // a handle asks for the value only if a recorder is installed: without one, nobody pays for reading the clock
    histogram.record_many(Asked(&begin), 0);
    Timing { histogram, begin: begin.into_inner() }
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn begin(_verb: Verb) -> Timing {
    Timing {}
}

impl Timing {
    pub(crate) fn end(self) {
        #[cfg(feature = "metrics")]
        if let Some(begin) = self.begin {
            self.histogram.record(begin.elapsed());
        }
    }
}

/// A value that remembers when it was asked for.
#[cfg(feature = "metrics")]
struct Asked<'a>(&'a Cell<Option<Instant>>);

#[cfg(feature = "metrics")]
impl IntoF64 for Asked<'_> {
    fn into_f64(self) -> f64 {
        self.0.set(Some(Instant::now()));
        0.0
    }
}
