//! What a checker has counted.

use std::fmt;

use super::ledger::When;

/// Acknowledged things, and how many of them are not so afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) acknowledged: u64,
    undone: [u64; 4],
}

impl Count {
    pub(super) fn add(&mut self, when: When, is_so: bool) {
        self.acknowledged += 1;
        self.undone[when as usize] += u64::from(!is_so);
    }

    pub(super) fn undone(&self) -> u64 {
        self.undone.iter().sum()
    }

    /// Those that had been acknowledged then.
    pub(super) fn undone_of(&self, when: When) -> u64 {
        self.undone[when as usize]
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.undone(), self.acknowledged)
    }
}

/// What was found of all that was acknowledged. Undone is lost, of a revoke that the session lives.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) sessions: Count,
    pub(super) sign_ins: Count,
    pub(super) fields: Count,
    pub(super) counts: Count,
    pub(super) rotations: Count,
    pub(super) revokes: Count,
    pub(super) durable_revokes: Count,
    /// Revokes that were said to be not durable.
    pub(super) not_durable_revokes: Count,
    /// Sessions that their user's index misses before they are touched.
    pub(super) misses: u64,
    /// What must never be, in words.
    pub(super) broken: Vec<String>,
}

impl Figures {
    pub(super) fn all(&self) -> [(&'static str, &Count); 8] {
        [
            ("sessions", &self.sessions),
            ("sign-ins", &self.sign_ins),
            ("fields", &self.fields),
            ("counts", &self.counts),
            ("rotations", &self.rotations),
            ("revokes", &self.revokes),
            ("durable revokes", &self.durable_revokes),
            ("not durable revokes", &self.not_durable_revokes),
        ]
    }
}
