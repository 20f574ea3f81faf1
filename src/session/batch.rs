//! Several changes in one step, made only if the session still is what they were made for.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::pin::Pin;

use serde::Serialize;

use super::Session;
use super::commit::is_done;
use super::fields::{sum, unwritable};
use super::state::State;
use crate::error::{Error, Result};
use crate::meter;
use crate::record::{Field, FieldChanges, TokenFormat, value};

impl Session {
    /// Changes several fields in one step: either all of the changes are made, or none. Immediate: one round trip. The batch
    /// can depend on what is stored ([`expect`](Batch::expect), [`expect_absent`](Batch::expect_absent)): it is made only if
    /// all of this is still true in that very step.
    ///
    /// A visitor without a session gets one if something is set or incremented. What this request has set before and not yet
    /// stored is superseded, in the fields that the batch changes; an increment counts from there. An expectation is about
    /// what is stored. A batch without any entry does nothing.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const STEP: Field<String> = Field::new("checkout_step");
    /// const CHANGES: Field<i64> = Field::new("changes");
    ///
    /// // the first step, unless another tab has begun already
    /// session.batch().expect_absent(STEP).set(STEP, "address").increment(CHANGES, 1).await?;
    /// session.batch().expect(STEP, "address").set(STEP, "payment").increment(CHANGES, 1).await?;
    /// assert_eq!(session.get(STEP)?.as_deref(), Some("payment"));
    ///
    /// // a page that is out of date changes nothing
    /// let late = session.batch().expect(STEP, "address").set(STEP, "delivery").increment(CHANGES, 1).await;
    /// assert!(late.unwrap_err().is_conflict());
    /// assert_eq!(session.get(CHANGES)?, Some(2));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Nothing is changed after any of these errors, except as the last two say.
    ///
    /// | error | when |
    /// | --- | --- |
    /// | [`is_conflict`](Error::is_conflict) | an expectation does not hold. One more round trip, because the session is read again to be sure; [`get`](Session::get) then shows what is stored |
    /// | [`is_invalid`](Error::is_invalid) | a name or a value is not allowed, the session would exceed a limit, an increment meets something that is no whole number or exceeds `i64`, or a field is named twice |
    /// | [`is_gone`](Error::is_gone) | the session has ended meanwhile |
    /// | [`is_store`](Error::is_store) | the store does not answer. After [`is_unknown`](Error::is_unknown) the batch was made once or not at all |
    /// | [`is_not_durable`](Error::is_not_durable) | the batch was made, but a failure of the store now may undo it |
    pub fn batch(&self) -> Batch<'_> {
        let (changes, expected) = Default::default();
        Batch { session: self, changes, expected, refused: Ok(()) }
    }
}

/// Changes that are made in one step when this is awaited. [`Session::batch`] and [`LiveSession::batch`](crate::LiveSession::batch)
/// return it.
#[must_use = "a batch changes nothing until it is awaited"]
pub struct Batch<'a> {
    session: &'a Session,
    /// A field stands in at most one of `set`, `remove` and `add`.
    changes: FieldChanges,
    /// What must be stored: the JSON of a value, or nothing.
    expected: BTreeMap<String, Option<String>>,
    /// The first entry that is not allowed.
    refused: Result<()>,
}

impl Batch<'_> {
    /// Sets a field, to a value that [`Session::set`] accepts.
    pub fn set<T: Borrow<V>, V: Serialize + ?Sized>(self, field: Field<T>, value: &V) -> Self {
        self.enter(field.name(), |batch, name| {
            let text = batch.session.text_for(name, value)?;
            batch.change_of(name)?.set.insert(name, text);
            Ok(())
        })
    }

    /// Removes a field. To remove a field that does not exist is not an error.
    pub fn remove<T>(self, field: Field<T>) -> Self {
        self.enter(field.name(), |batch, name| {
            batch.change_of(name)?.remove.insert(name.to_owned());
            Ok(())
        })
    }

    /// Adds to a counter. A counter that does not exist starts at 0. [`Session::get`] returns the sum when the batch was made.
    pub fn increment(self, field: Field<i64>, by: i64) -> Self {
        self.enter(field.name(), |batch, name| {
            batch.change_of(name)?.add.insert(name.to_owned(), by);
            Ok(())
        })
    }

    /// Makes the batch only if this value is stored in a field. Values are compared as JSON: the order of keys and the spelling
    /// of a number (`1` or `1.0`) do not matter.
    pub fn expect<T: Borrow<V>, V: Serialize + ?Sized>(self, field: Field<T>, value: &V) -> Self {
        self.enter(field.name(), |batch, name| {
            let json = value::to_expected(value).map_err(|why| unwritable(name, why))?;
            batch.expect_of(name, Some(json))
        })
    }

    /// Makes the batch only if nothing is stored in a field.
    pub fn expect_absent<T>(self, field: Field<T>) -> Self {
        self.enter(field.name(), |batch, name| batch.expect_of(name, None))
    }

    fn enter(mut self, name: &str, enter: impl FnOnce(&mut Self, &str) -> Result<()>) -> Self {
        let entered = self.session.check(name).and_then(|()| enter(&mut self, name));
        self.refused = self.refused.and(entered);
        self
    }

    /// The changes, to which the one of this field is to be added.
    fn change_of(&mut self, name: &str) -> Result<&mut FieldChanges> {
        let FieldChanges { set, remove, add, .. } = &self.changes;
        let is_changed = set.contains_key(name) || remove.contains(name) || add.contains_key(name);
        if is_changed { Err(named_twice(name, "changes")) } else { Ok(&mut self.changes) }
    }

    fn expect_of(&mut self, name: &str, json: Option<String>) -> Result<()> {
        match self.expected.insert(name.to_owned(), json) {
            None => Ok(()),
            Some(_) => Err(named_twice(name, "expects something of")),
        }
    }

    async fn make(self) -> Result<()> {
        let Batch { session, changes, expected, refused } = self;
        refused?;
        if changes.is_empty() && expected.is_empty() {
            return Ok(());
        }
        let _turn = session.turn().await?;
        let names = changes.set.keys().map(str::to_owned);
        let names = names.chain(changes.remove.iter().cloned()).chain(changes.add.keys().cloned());
        let (changes, superseded) = {
            let state = session.state();
            let superseded: Vec<_> = names.map(|name| (state.pending.seen(&name), name)).collect();
            (counted_from_here(changes, &state)?, superseded)
        };
        let made = session.change_if(changes, &expected).await;
        if is_done(&made) {
            let mut state = session.state();
            for (seen, name) in &superseded {
                state.pending.forget_seen(name, seen);
            }
        }
        made
    }
}

impl<'a> IntoFuture for Batch<'a> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

impl Session {
    /// Makes changes if what is expected is stored. If it was not when the session was last seen, the session is read again: a
    /// value that is out of date must not refuse a change. If a text was replaced by another spelling of its value, or by
    /// another value and back, the changes are asked for again.
    async fn change_if(&self, mut changes: FieldChanges, expected: &BTreeMap<String, Option<String>>) -> Result<()> {
        const ATTEMPTS: u32 = 8;
        let mut is_counted = false;
        for attempt in 0..ATTEMPTS {
            let stored = self.state().expected_texts(expected, self.format());
            match stored {
                Ok(texts) if self.exists() => {
                    changes.expect = texts;
                    match self.change(changes.clone()).await {
                        Err(error) if error.is_conflict() => is_counted = true,
                        made => return made,
                    }
                }
                // to remove something from a visitor without a session makes none
                Ok(_) if changes.set.is_empty() => return Ok(()),
                Ok(_) => return self.create(changes.set).await,
                Err(unmet) if attempt > 0 || !self.exists() => {
                    // where the store was asked, its refusal counts
                    if !is_counted {
                        meter::conflicted();
                    }
                    return Err(unmet);
                }
                Err(_) => {}
            }
            self.reload(attempt).await?;
        }
        Err(Error::conflict(format!("the expected fields were changed by others {ATTEMPTS} times in a row")))
    }
}

impl State {
    /// Returns the texts in which the expected values were last seen, or the error that names the field with another value.
    fn expected_texts(
        &self,
        expected: &BTreeMap<String, Option<String>>,
        format: TokenFormat,
    ) -> Result<BTreeMap<String, Option<String>>> {
        let is_text_of = match format {
            TokenFormat::Secret => value::is_text_of,
            TokenFormat::Plain => value::is_raw_text_of,
        };
        let text_of = |(name, json): (&String, &Option<String>)| match (json, self.stored_text(name)) {
            (None, None) => Ok((name.clone(), None)),
            (Some(json), Some(text)) if is_text_of(json, text) => Ok((name.clone(), Some(text.to_owned()))),
            (None, _) => Err(Error::conflict(format!("field `{name}` is there, and was expected not to be"))),
            (Some(_), None) => Err(Error::conflict(format!("field `{name}` is not there, and was expected to be"))),
            (Some(_), Some(_)) => Err(Error::conflict(format!("field `{name}` has another value than was expected"))),
        };
        expected.iter().map(text_of).collect()
    }
}

/// Lets increments count from what this request has set, and from 0 for a visitor without a session.
fn counted_from_here(mut changes: FieldChanges, state: &State) -> Result<FieldChanges> {
    let exists = state.current.is_some();
    let starts: Vec<_> = changes
        .add
        .keys()
        .filter_map(|name| match state.pending.of(name) {
            Some(text) => Some((name.clone(), text.unwrap_or("0").to_owned())),
            None => (!exists).then(|| (name.clone(), "0".to_owned())),
        })
        .collect();
    for (name, start) in starts {
        let by = changes.add.remove(&name).unwrap_or_default();
        let text = sum(&name, &start, by)?.to_string();
        changes.set.insert(name, text);
    }
    Ok(changes)
}

fn named_twice(name: &str, what: &str) -> Error {
    let reason = format!("stands twice in this batch, which {what} each field at most once");
    Error::malformed(format!("field `{name}`"), reason)
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("session", &self.session.id()).finish_non_exhaustive()
    }
}
