//! What a change makes of a record.

use std::time::{Duration, SystemTime};

use super::change::{Change, FieldChanges, SignIn};
use super::fields::Fields;
use super::outcome::{COUNTER_OVERFLOW, NOT_A_COUNTER, Refusal, TOO_MANY_BYTES, TOO_MANY_FIELDS};
use super::terms::Terms;
use super::token::Credentials;
use super::user::UserId;
use super::{Previous, Record, whole_second};

impl Record {
    /// Makes a change, or leaves everything as it was: what every store does, or repeats to the letter.
    ///
    /// The grace of the held previous secret is judged when a request loads, not here: an upload that began with
    /// it may still be saved. A rotation to the secret that is already current was made before, and changes nothing.
    ///
    /// A sign-in of the user who is signed in already, with the secret that this user's sign-in has just replaced, is that
    /// sign-in once more (a second click): it gets a secret of its own, and the one that the first was answered with is held.
    ///
    /// # Errors
    /// Why it was refused; the record is as it was.
    pub fn apply(
        &mut self,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        if now >= self.ends_at() {
            return Err(Refusal::Gone);
        }
        if change.was_made_in(self) {
            return Ok(());
        }
        let is_current = presented.secret_hash == self.secret_hash;
        let is_previous = self.previous.is_some_and(|held| presented.secret_hash == Some(held.secret_hash));
        let repeats_sign_in = self.repeats_sign_in(presented, change, terms, now);
        match &change.sign_in {
            _ if repeats_sign_in => {}
            // what lives is another sign-in's, or the browser's next secret
            Some(new) if new.only_again || !is_current && !is_previous || self.is_of_another(&new.user) => {
                return Err(Refusal::Conflict);
            }
            None if !is_current && !is_previous => return Err(Refusal::Gone),
            None if !is_current && change.rotate_to.is_some() => return Err(Refusal::Conflict),
            _ => {}
        }
        let binds = change.sign_in.as_ref().filter(|_| !repeats_sign_in);
        let keeps_fields = !binds.is_some_and(|new| new.discard_fields);
        let fields = if keeps_fields { &self.fields } else { &Fields::new() };
        self.fields = changed(fields, &change.delta, terms)?;
        if let Some(new) = change.rotate_to {
            let holds = !change.drop_previous && binds.is_none();
            self.previous = self.secret_hash.filter(|_| holds).map(|secret_hash| Previous { secret_hash, until: None });
            self.secret_hash = Some(new);
            self.rotated_at = Some(whole_second(now));
        } else if is_current
            && change.confirm
            && let Some(held) = &mut self.previous
        {
            // the browser has the new secret: the previous one's grace begins
            held.until.get_or_insert(whole_second(now + terms.rotation_grace + Duration::from_millis(999)));
        }
        if let Some(new) = binds {
            self.sign_in_secret_hash = presented.secret_hash;
            self.bind(new, terms, now);
        } else if !self.holds_sign_in(terms, now) {
            self.sign_in_secret_hash = None;
        }
        if let Some(idle) = change.delta.idle_timeout {
            self.idle_timeout = idle.min(self.longest_idle(terms));
        }
        if change.touch || change.sign_in.is_some() || change.delta.idle_timeout.is_some() {
            self.last_accessed_at = now;
        }
        Ok(())
    }

    fn is_of_another(&self, user: &UserId) -> bool {
        self.user_id.as_ref().is_some_and(|bound| bound != user)
    }

    /// Whether a change is the sign-in that was just made, asked for a second time.
    fn repeats_sign_in(&self, presented: &Credentials, change: &Change, terms: &Terms, now: SystemTime) -> bool {
        let is_theirs = change.sign_in.as_ref().is_some_and(|new| self.user_id.as_ref() == Some(&new.user));
        is_theirs
            && presented.secret_hash.is_some()
            && presented.secret_hash == self.sign_in_secret_hash
            && self.holds_sign_in(terms, now)
    }

    /// Whether the secret that the last sign-in replaced may still ask for that sign-in.
    fn holds_sign_in(&self, terms: &Terms, now: SystemTime) -> bool {
        self.signed_in_at.is_some_and(|at| terms.holds_sign_in(at, now))
    }

    fn bind(&mut self, new: &SignIn, terms: &Terms, now: SystemTime) {
        self.user_id = Some(new.user.clone());
        self.signed_in_at = Some(whole_second(now));
        self.auth_time = Some(whole_second(new.auth_time.unwrap_or(now).min(now)));
        self.idle_timeout = new.idle_timeout.unwrap_or(terms.idle_timeout);
        self.expires_at = whole_second(now + new.absolute_lifetime.unwrap_or(terms.absolute_lifetime));
        self.absolute_lifetime = new.absolute_lifetime;
        self.cookie_max_age = new.cookie_max_age;
        self.device = new.device.clone();
        self.ip = new.ip.clone();
    }
}

/// The fields after a delta, or why it cannot be made.
fn changed(fields: &Fields, delta: &FieldChanges, terms: &Terms) -> Result<Fields, Refusal> {
    if delta.expect.iter().any(|(name, text)| fields.get(name) != text.as_deref()) {
        return Err(Refusal::Conflict);
    }
    let mut after = fields.clone();
    after.extend(delta.set.iter());
    for name in &delta.remove {
        after.remove(name);
    }
    for (name, by) in &delta.add {
        let invalid = |reason| Refusal::Invalid { field: name.clone(), reason };
        let value = counter(after.get(name).unwrap_or("0")).ok_or(invalid(NOT_A_COUNTER))?;
        let sum = value.checked_add(*by).ok_or(invalid(COUNTER_OVERFLOW))?;
        after.insert(name, sum.to_string());
    }
    // a session that is too large already (another program, a lowered limit) may still be changed, but not grow
    if after.len() > fields.len() || after.bytes() > fields.bytes() {
        check_size(&after, terms)?;
    }
    Ok(after)
}

/// The value of a counter. "007" and "+7" are refused as Redis refuses them: what is a number must be one everywhere.
pub(crate) fn counter(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}

pub(crate) fn check_size(fields: &Fields, terms: &Terms) -> Result<(), Refusal> {
    let too_large = |reason| Err(Refusal::Invalid { field: "session".to_owned(), reason });
    if fields.len() > terms.max_fields {
        too_large(TOO_MANY_FIELDS)
    } else if fields.bytes() > terms.max_bytes {
        too_large(TOO_MANY_BYTES)
    } else {
        Ok(())
    }
}
