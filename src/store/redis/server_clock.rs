//! The time of a server. It is asked for about once a second on each connection, and reckoned in between.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::moment::Moment;
use crate::clock::{from_millis, to_millis};

/// For how long the time is reckoned from one answer. A server whose clock was set is found out within this time.
const RECKONED_FOR: Duration = Duration::from_secs(1);

/// What the server's clock showed when it was last asked on one connection.
#[derive(Debug, Default)]
pub(super) struct ServerClock(Mutex<Option<Sample>>);

/// An answer to TIME.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    shown: SystemTime,
    /// When the question left, and when the answer had come. In between, the server has looked at its clock.
    asked: Moment,
    answered: Moment,
}

/// The server's time when an answer had come, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    /// What the server's clock showed when it was asked. If the time is reckoned: what the clock showed at least.
    pub(super) now: SystemTime,
    /// What the clock showed at most.
    pub(super) latest: SystemTime,
    /// Whether the server was asked with this very question. If not, the time is reckoned: it is wrong if the server's clock was set
    /// a moment ago.
    pub(super) is_asked: bool,
}

impl ServerClock {
    /// Returns the last answer, if the time may still be reckoned from it now.
    pub(super) fn sample(&self, now: Moment) -> Option<Sample> {
        let sample = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sample.filter(|sample| now.since(sample.asked) < RECKONED_FOR)
    }

    /// Guesses the time from the last answer, however long ago that was. For what the server compares with its clock.
    pub(super) fn guess(&self, now: Moment) -> Option<SystemTime> {
        let sample = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sample.map(|sample| sample.reckon(now).now)
    }

    /// Notes an answer.
    pub(super) fn note(&self, sample: Sample) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.asked < sample.asked) {
            *last = Some(sample);
        }
    }
}

impl Sample {
    pub(super) fn new(shown: SystemTime, asked: Moment, answered: Moment) -> Sample {
        Sample { shown, asked, answered }
    }

    /// Returns the time at the moment of the answer itself.
    pub(super) fn as_asked(&self) -> Time {
        Time { now: whole_millis(self.shown), is_asked: true, ..self.reckon(self.answered) }
    }

    /// Returns the time at a later moment. Two clocks never run at quite the same speed, so a thousandth of what has passed is left
    /// out, to be never ahead of the server's.
    pub(super) fn reckon(&self, now: Moment) -> Time {
        let since = now.since(self.answered);
        Time {
            now: whole_millis(self.shown + (since - since / 1000)),
            latest: whole_millis(self.shown + now.since(self.asked)),
            is_asked: false,
        }
    }
}

impl Time {
    /// Returns this time, or a later one that the clock has shown already, as far as it can have shown that. Without it, a session that
    /// another connection has changed a moment ago could seem to be from the future.
    pub(super) fn not_before(self, shown: SystemTime) -> Time {
        Time { now: self.now.max(shown.min(self.latest)), ..self }
    }
}

fn whole_millis(time: SystemTime) -> SystemTime {
    from_millis(to_millis(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(1) + Duration::from_millis(millis)
    }

    #[test]
    fn the_time_is_reckoned_for_a_second_and_lies_between_what_it_can_be() {
        let shown = from_millis(1_775_133_296_007);
        let clock = ServerClock::default();
        assert!(clock.sample(at(0)).is_none(), "nobody has asked yet");
        clock.note(Sample::new(shown, at(10), at(14)));
        let sample = clock.sample(at(1009)).expect("it is not a second old");
        let time = sample.reckon(at(1009));
        assert_eq!(time.now, shown + Duration::from_millis(994), "the server may have looked at its clock last thing");
        assert_eq!(time.latest, shown + Duration::from_millis(999), "or first thing");
        assert!(clock.sample(at(1010)).is_none());
    }

    #[test]
    fn a_time_that_the_clock_has_shown_moves_the_reckoned_one_on_as_far_as_it_can_be() {
        let shown = from_millis(5000);
        let time = Sample::new(shown, at(10), at(14)).reckon(at(14));
        assert_eq!(time.not_before(from_millis(4000)).now, shown);
        assert_eq!(time.not_before(from_millis(5003)).now, from_millis(5003));
        assert_eq!(time.not_before(from_millis(9000)).now, time.latest, "the clock was set back since then");
    }

    #[test]
    fn an_answer_that_comes_late_does_not_take_the_place_of_a_later_one() {
        let (first, later) = (from_millis(1000), from_millis(5000));
        let clock = ServerClock::default();
        clock.note(Sample::new(later, at(20), at(30)));
        clock.note(Sample::new(first, at(10), at(40)));
        assert_eq!(clock.sample(at(40)).unwrap().reckon(at(30)).now, later);
    }
}
