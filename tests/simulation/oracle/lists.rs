//! Lists of a user's sessions.

use super::known::{Alive, Known, NO_DEADLINE, Range};
use super::{Millis, Oracle, Wrong};
use crate::contents::Contents;
use crate::story::{DAY, USERS};

impl Oracle {
    /// Judges a list of a user's sessions, and learns from it.
    pub(crate) fn listed(&mut self, user: usize, ids: &[String], now: Millis) -> Result<(), Wrong> {
        let name = USERS[user];
        for id in ids {
            let nth = match self.by_id.get(id) {
                Some(nth) => *nth,
                None => self.stranger(id, user, now),
            };
            let known = &mut self.sessions[nth];
            if !known.may_live(now) || !known.may_be_of(user) {
                return Err(format!(
                    "the list of {name}'s sessions has {}, which lives: {:?}",
                    known.name(),
                    known.alive
                ));
            }
            known.alive = Alive::Yes;
            known.users = vec![Some(user)];
        }
        self.ordered(ids).map_err(|wrong| format!("the list of {name}'s sessions {wrong}"))?;
        for known in self.sessions.iter_mut().filter(|known| known.may_be_of(user) && !ids.contains(&known.id)) {
            if known.lives(now) && known.is_of(user) {
                return Err(format!("the list of {name}'s sessions misses one that lives"));
            }
            match known.is_of(user) {
                true => known.alive = Alive::No,
                false => known.users.retain(|is| *is != Some(user)),
            }
        }
        Ok(())
    }

    /// A session whose token reached nobody.
    fn stranger(&mut self, id: &str, user: usize, now: Millis) -> usize {
        let (longest, latest) = (30 * DAY * 1000, now.max(self.latest));
        self.by_id.insert(id.to_owned(), self.sessions.len());
        self.sessions.push(Known {
            id: id.to_owned(),
            alive: Alive::Yes,
            users: vec![Some(user)],
            contents: vec![Contents::default()],
            tokens: Vec::new(),
            used: Range(0, latest),
            idle: Range(0, longest),
            lifetime: Range(0, longest),
            is_said: false,
            ends: Range(0, latest + longest),
            deadline: Range(0, NO_DEADLINE.1),
            ages: vec![None, Some(None), Some(Some(30 * DAY))],
            proved: Range(0, latest),
            secret_since: Range(0, latest),
            order: None,
            begun: Vec::new(),
        });
        self.sessions.len() - 1
    }

    /// Judges the order of a list, the latest sign-in first, and learns from it.
    fn ordered(&mut self, ids: &[String]) -> Result<(), Wrong> {
        let listed: Vec<usize> = ids.iter().rev().filter_map(|id| self.by_id.get(id).copied()).collect();
        let orders: Vec<u64> = listed.iter().filter_map(|nth| self.sessions[*nth].order).collect();
        if !orders.is_sorted() {
            return Err("is not in the order of sign-in".to_owned());
        }
        for nth in listed {
            self.sign_ins += 1;
            self.sessions[nth].order = Some(self.sign_ins);
        }
        Ok(())
    }
}
