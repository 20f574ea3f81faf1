//! How a change is made to a record.

use std::time::{Duration, SystemTime};

use super::change::{Change, FieldChanges, SignIn};
use super::fields::Fields;
use super::outcome::{COUNTER_OVERFLOW, NOT_A_COUNTER, Refusal, TOO_MANY_BYTES, TOO_MANY_FIELDS};
use super::terms::Terms;
use super::token::{Credentials, SecretHash};
use super::user::UserId;
use super::{Previous, Record, check_deadline, earlier, whole_second};

impl Record {
    /// Makes a change, or leaves the record as it was. Every store does this.
    ///
    /// The grace of the held previous secret is judged when a request loads the session, not here. So an upload that began
    /// with this secret may still be saved. A rotation to the secret that is already current was made before, and changes
    /// nothing.
    ///
    /// A user who is signed in already may sign in again with the secret that the sign-in has just replaced. Then this counts
    /// as the same sign-in once more (a second click). It gets a secret of its own, and the secret that the first sign-in was
    /// answered with is held.
    ///
    /// # Errors
    /// Returns why the change was refused. The record is as it was.
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
        let repeats_sign_in = self.repeats_sign_in(presented, change, terms, now);
        self.check_credentials(presented, change, repeats_sign_in)?;
        check_deadline(change.own_deadline(), now)?;
        let binds = change.sign_in().filter(|_| !repeats_sign_in);
        if let Some(new) = binds
            && new.discard_fields
        {
            self.fields = Fields::new();
        }
        if let Some(changes) = change.fields() {
            self.fields = changed(&self.fields, changes, terms)?;
        }
        match change {
            Change::Save(save) => {
                if save.confirm {
                    self.confirm(presented, terms, now);
                }
            }
            Change::Rotate(rotation) => self.rotate(rotation.secret_hash, !rotation.drop_previous, now),
            Change::SignIn { secret_hash, .. } => self.rotate(*secret_hash, repeats_sign_in, now),
        }
        if let Some(new) = binds {
            self.sign_in_secret_hash = presented.secret_hash;
            self.bind(new, terms, now);
        } else if !self.holds_sign_in(terms, now) {
            self.sign_in_secret_hash = None;
        }
        if let Some(own) = change.fields().and_then(|fields| fields.own_deadline) {
            self.expires_at = earlier(self.granted_until(terms), own);
            self.own_deadline = own;
        }
        if let Some(idle) = change.fields().and_then(|fields| fields.idle_timeout) {
            self.idle_timeout = idle.min(self.longest_idle(terms));
        }
        if change.touches() {
            self.last_accessed_at = now;
            // as it is stored: the longest may end within a second
            self.idle_timeout = Duration::from_secs(self.idle_timeout.as_secs());
        }
        Ok(())
    }

    /// Refuses a secret that is not allowed to make this change.
    fn check_credentials(&self, presented: &Credentials, change: &Change, repeats: bool) -> Result<(), Refusal> {
        let is_current = presented.secret_hash == self.secret_hash;
        let opens = is_current || self.previous.is_some_and(|held| presented.secret_hash == Some(held.secret_hash));
        match change {
            _ if repeats => Ok(()),
            // the secrets that are valid now belong to another sign-in, or are the browser's next secret
            Change::SignIn { new, .. } if new.only_again || !opens || self.is_of_another(&new.user) => {
                Err(Refusal::Conflict)
            }
            Change::Save(_) | Change::Rotate(_) if !opens => Err(Refusal::Gone),
            Change::Rotate(_) if !is_current => Err(Refusal::Conflict),
            _ => Ok(()),
        }
    }

    /// Begins the grace of the previous secret if the browser presents the current secret, because then it has the new one.
    fn confirm(&mut self, presented: &Credentials, terms: &Terms, now: SystemTime) {
        if presented.secret_hash == self.secret_hash
            && let Some(held) = &mut self.previous
        {
            held.until.get_or_insert(whole_second(now + terms.rotation_grace + Duration::from_millis(999)));
        }
    }

    fn rotate(&mut self, new: SecretHash, holds: bool, now: SystemTime) {
        self.previous = self.secret_hash.filter(|_| holds).map(|secret_hash| Previous { secret_hash, until: None });
        self.secret_hash = Some(new);
        self.rotated_at = Some(whole_second(now));
    }

    fn is_of_another(&self, user: &UserId) -> bool {
        self.user_id.as_ref().is_some_and(|bound| bound != user)
    }

    /// Whether a change is the sign-in that was just made, asked for a second time.
    fn repeats_sign_in(&self, presented: &Credentials, change: &Change, terms: &Terms, now: SystemTime) -> bool {
        let is_theirs = change.sign_in().is_some_and(|new| self.user_id.as_ref() == Some(&new.user));
        is_theirs
            && presented.secret_hash.is_some()
            && presented.secret_hash == self.sign_in_secret_hash
            && self.holds_sign_in(terms, now)
    }

    /// Returns true if the secret that the last sign-in replaced may still ask for this sign-in.
    fn holds_sign_in(&self, terms: &Terms, now: SystemTime) -> bool {
        self.signed_in_at.is_some_and(|at| terms.holds_sign_in(at, now))
    }

    fn bind(&mut self, new: &SignIn, terms: &Terms, now: SystemTime) {
        self.user_id = Some(new.user.clone());
        self.signed_in_at = Some(whole_second(now));
        self.auth_time = Some(whole_second(new.auth_time.unwrap_or(now).min(now)));
        self.idle_timeout = new.idle_timeout.unwrap_or(terms.idle_timeout);
        self.own_deadline = new.own_deadline.or(self.own_deadline);
        let lifetime = new.absolute_lifetime.unwrap_or(terms.absolute_lifetime);
        self.expires_at = earlier(whole_second(now + lifetime), self.own_deadline);
        self.absolute_lifetime = new.absolute_lifetime;
        self.cookie_max_age = new.cookie_max_age;
        self.device = new.device.clone();
        self.ip = new.ip.clone();
    }
}

/// Returns the fields after these changes, or why the changes cannot be made.
fn changed(fields: &Fields, changes: &FieldChanges, terms: &Terms) -> Result<Fields, Refusal> {
    if changes.expect.iter().any(|(name, text)| fields.get(name) != text.as_deref()) {
        return Err(Refusal::Conflict);
    }
    let mut after = fields.clone();
    after.extend(changes.set.iter());
    for name in &changes.remove {
        after.remove(name);
    }
    for (name, by) in &changes.add {
        let invalid = |reason| Refusal::Invalid { field: name.clone(), reason };
        let value = counter(after.get(name).unwrap_or("0")).ok_or(invalid(NOT_A_COUNTER))?;
        let sum = value.checked_add(*by).ok_or(invalid(COUNTER_OVERFLOW))?;
        after.insert(name, sum.to_string());
    }
    // A session that is too large already (by another program, or a lowered limit) may still be changed, but must not grow.
    if after.len() > fields.len() || after.bytes() > fields.bytes() {
        check_size(&after, terms)?;
    }
    Ok(after)
}

/// Returns the value of a counter. "007" and "+7" are refused because Redis refuses them: a text must be a number in every
/// store or in none.
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
