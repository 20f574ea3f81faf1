//! The fields of a session, for the application.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::commit::is_done;
use super::pending::{self, IsList};
use super::state::{Minted, State};
use crate::error::{Error, Result};
use crate::meter;
use crate::record::{Field, FieldChanges, Fields, TokenFormat, check_name, value};

impl Session {
    /// Returns the value of a field, including what this request has set.
    ///
    /// Returns `None` if there is no value. It also logs a warning and returns `None` if the stored text is not a `T`,
    /// which happens when another version of the application has written it; use [`try_get`](Session::try_get) to get the
    /// error.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const NAME: Field<String> = Field::new("name");
    ///
    /// assert_eq!(session.get(NAME)?, None);
    /// session.set(NAME, "Ada")?;
    /// assert_eq!(session.get(NAME)?.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error only for a [named](Field::named) field whose name is not allowed.
    pub fn get<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.check(field.name())?;
        self.try_get(field).or_else(|error| {
            tracing::warn!(target: "cloakroom", session = ?self.id(), %error, "an unreadable value counts as none");
            meter::unreadable("value", 1);
            Ok(None)
        })
    }

    /// Returns the value of a field, or an error if the stored text is not a `T`.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// // an earlier version of the application kept a text here
    /// session.set(Field::<String>::new("theme"), "dark")?;
    ///
    /// const THEME: Field<u8> = Field::new("theme");
    /// assert_eq!(session.get(THEME)?, None);
    /// assert!(session.try_get(THEME).unwrap_err().is_invalid());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid), with the name of the field.
    pub fn try_get<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.check(field.name())?;
        let state = self.state();
        let Some(text) = state.text_of(field.name()) else {
            return Ok(None);
        };
        let value = match self.format() {
            TokenFormat::Secret => value::from_text(&text),
            TokenFormat::Plain => value::from_raw_text(&text),
        };
        value.map(Some).map_err(|why| invalid_field(field.name(), why))
    }

    /// Sets a field. Deferred.
    ///
    /// What is accepted is read back unchanged, with one exception: an `Option` within an `Option` in a field of a struct
    /// is a single `Option` in JSON, unless the struct says how to read it.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const THEME: Field<String> = Field::new("theme");
    ///
    /// session.set(THEME, "dark")?;
    /// assert_eq!(session.get(THEME)?.as_deref(), Some("dark"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error and changes nothing if the value cannot be written as JSON or would not be read back unchanged (NaN
    /// and infinite numbers, an empty option in an option, more than 127 levels of lists, maps and structs), if the session
    /// would exceed a limit, or if the name is not allowed.
    pub fn set<T: Borrow<V>, V: Serialize + ?Sized>(&self, field: Field<T>, value: &V) -> Result<()> {
        self.check(field.name())?;
        let text = self.text_for(field.name(), value)?;
        let mut state = self.open_state()?;
        state.check_fits(field.name(), &text, &self.0.sessions).inspect_err(|_| meter::refused("too_large"))?;
        state.pending.set(field.name(), text);
        Ok(())
    }

    /// Removes a field. Deferred. To remove a field that does not exist is not an error and makes no session.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const THEME: Field<String> = Field::new("theme");
    ///
    /// session.set(THEME, "dark")?;
    /// session.remove(THEME)?;
    /// assert_eq!(session.get(THEME)?, None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error only if the name is not allowed, or if the head of the response was already sent.
    pub fn remove<T>(&self, field: Field<T>) -> Result<()> {
        self.check(field.name())?;
        self.open_state()?.pending.remove(field.name());
        Ok(())
    }

    /// Removes all fields of the application that this request knows of, including what it has set or pushed. Deferred.
    ///
    /// The visitor keeps the session and stays signed in. What another request sets meanwhile stays. With plain tokens the
    /// fields of the other program are removed as well.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// session.set(Field::<String>::new("theme"), "dark")?;
    /// session.clear()?;
    /// assert!(session.fields().is_empty());
    /// assert!(session.user().is_some());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error only if the head of the response was already sent.
    pub fn clear(&self) -> Result<()> {
        let mut state = self.open_state()?;
        let State { pending, current, minted, .. } = &mut *state;
        let on_its_way = match minted {
            Minted::OnItsWay(candidate) => candidate.purpose.sets(),
            _ => None,
        };
        let stored = current.as_ref().map(|current| &current.record().fields);
        pending.clear(stored.into_iter().chain(on_its_way).flat_map(Fields::keys));
        Ok(())
    }

    /// Returns the names of the application's fields in alphabetical order, including what this request has set, without
    /// what it has removed.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// session.set(Field::<String>::new("theme"), "dark")?;
    /// session.set(Field::<String>::new("name"), "Ada")?;
    /// assert_eq!(session.fields(), ["name", "theme"]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn fields(&self) -> Vec<String> {
        let state = self.state();
        let kept = state.stored().into_iter().flat_map(Fields::keys).filter(|name| !state.pending.replaces(name));
        let names: BTreeSet<&str> = kept.chain(state.pending.grows().map(|(name, _)| name)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Appends a value to a list, such as messages for the next page. Deferred. No value is lost when several requests push
    /// at the same time. [`take`](Session::take) reads the list and empties it.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const MESSAGES: Field<Vec<String>> = Field::new("messages");
    ///
    /// session.push(MESSAGES, "Your address was saved.")?;
    /// // the next page shows the messages
    /// assert_eq!(session.take(MESSAGES).await?.unwrap_or_default(), ["Your address was saved."]);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// A stored text that is not such a list is replaced, with a warning in the log as for [`get`](Session::get).
    ///
    /// The commit takes two more round trips each time another request has changed the list first. If the answer to a
    /// [`commit`](Session::commit) is lost, or its future is dropped, the value was pushed once or not at all.
    ///
    /// # Errors
    /// Returns the errors of [`set`](Session::set), and then changes nothing.
    pub fn push<T, V>(&self, field: Field<Vec<T>>, value: &V) -> Result<()>
    where
        T: Borrow<V> + DeserializeOwned,
        V: Serialize + ?Sized,
    {
        // warns if the text is not such a list
        self.get(field.clone())?;
        let name = field.name();
        let item = value::to_item(value).map_err(|why| unwritable(name, why))?;
        let is_list: IsList = |text| serde_json::from_str::<Vec<T>>(text).is_ok();
        let mut state = self.open_state()?;
        let text = pending::appended(state.text_of(name).as_deref(), std::slice::from_ref(&item), is_list);
        state.check_fits(name, &text, &self.0.sessions).inspect_err(|_| meter::refused("too_large"))?;
        state.pending.push(name, item, is_list);
        Ok(())
    }

    /// Adds to a counter and returns its new value. A counter that does not exist starts at 0. Immediate: one round trip. A
    /// visitor without a session gets one.
    ///
    /// Increments add up exactly, however many requests make them. If this request has [set](Session::set) the same field
    /// before, it counts from there.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const VIEWS: Field<i64> = Field::new("page_views");
    ///
    /// assert_eq!(session.increment(VIEWS, 1).await?, 1);
    /// assert_eq!(session.increment(VIEWS, 10).await?, 11);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid), and leaves the field unchanged, if the field does not hold a whole number
    /// or the sum exceeds `i64`. Returns [`is_unknown`](Error::is_unknown) if the answer was lost: the increment was then
    /// made once or not at all.
    pub async fn increment(&self, field: Field<i64>, by: i64) -> Result<i64> {
        self.check(field.name())?;
        let _turn = self.turn().await?;
        let name = field.name().to_owned();
        let (pending, seen) = {
            let state = self.state();
            (state.pending.of(&name).map(|text| text.map(str::to_owned)), state.pending.seen(&name))
        };
        let start = match &pending {
            Some(text) => Some(text.as_deref().unwrap_or("0")),
            None => (!self.exists()).then_some("0"),
        };
        let mut delta = FieldChanges::default();
        match start {
            None => drop(delta.add.insert(name.clone(), by)),
            Some(text) => drop(delta.set.insert(name.clone(), sum(&name, text, by)?.to_string())),
        }
        let changed = if self.exists() { self.change(delta).await } else { self.create(delta.set).await };
        let mut state = self.state();
        if is_done(&changed) {
            state.pending.forget_seen(&name, &seen);
        }
        changed?;
        let text = state.stored_text(&name).unwrap_or_default();
        text.parse().map_err(|_| Error::invalid(format!("field `{name}`"), crate::record::NOT_A_COUNTER))
    }

    /// Reads a value and removes it in one step: only one of several requests gets it. Immediate: one round trip, or none
    /// if there is no value. It suits messages that are shown once.
    ///
    /// A stored text that is not a `T` is removed as well and returns `None`, with a warning in the log as for
    /// [`get`](Session::get).
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const NOTICE: Field<String> = Field::new("notice");
    ///
    /// session.set(NOTICE, "Your order is on its way.")?;
    /// assert_eq!(session.take(NOTICE).await?.as_deref(), Some("Your order is on its way."));
    /// assert_eq!(session.take(NOTICE).await?, None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_conflict`](Error::is_conflict) if other requests changed the field first at every attempt, and a store
    /// error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn take<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        let name = field.name().to_owned();
        let mut taken = None;
        self.replace(&name, |session| {
            taken = session.get(field.clone())?;
            Ok(None)
        })
        .await?;
        Ok(taken)
    }

    /// Reads, changes and writes a field without losing the change of another request. If another request came first, the
    /// field is read again and `change` is called again, a few times. Immediate: one round trip, and two more for each
    /// repetition.
    ///
    /// If this request has [set](Session::set) the same field before, `change` gets that value. If there is no value, or
    /// the stored text is not a `T` because another version of the application wrote it, `change` gets the default; the
    /// latter is logged as for [`get`](Session::get). To keep such a text, ask [`try_get`](Session::try_get) first.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const CART: Field<Vec<u32>> = Field::new("cart");
    ///
    /// session.update(CART, |cart| cart.push(7)).await?;
    /// let items = session.update(CART, |cart| {
    ///     cart.push(8);
    ///     cart.len()
    /// });
    /// assert_eq!(items.await?, 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_conflict`](Error::is_conflict) if other requests came first at every attempt,
    /// [`is_invalid`](Error::is_invalid) if the new value does not fit or would not be read back unchanged, and a store
    /// error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn update<T, R>(&self, field: Field<T>, mut change: impl FnMut(&mut T) -> R) -> Result<R>
    where
        T: DeserializeOwned + Serialize + Default,
    {
        let name = field.name().to_owned();
        let mut answer = None;
        self.replace(&name, |session| {
            let mut value = session.get(field.clone())?.unwrap_or_default();
            answer = Some(change(&mut value));
            session.text_for(&name, &value).map(Some)
        })
        .await?;
        Ok(answer.expect("the change was made at least once"))
    }

    /// Replaces a field's text by what `make` returns, with a compare-and-set that is repeated if another request came
    /// first. If the field has no text before and after, the store is not asked.
    async fn replace(&self, name: &str, mut make: impl FnMut(&Session) -> Result<Option<String>>) -> Result<()> {
        const ATTEMPTS: u32 = 8;
        self.check(name)?;
        let _turn = self.turn().await?;
        for attempt in 1.. {
            let (is_there, before, seen) = {
                let state = self.state();
                let before = state.stored_text(name).map(str::to_owned);
                (state.text_of(name).is_some(), before, state.pending.seen(name))
            };
            let text = make(self)?;
            if text.is_none() && !is_there {
                return Ok(());
            }
            let replaced = self.replace_once(name, before, text).await;
            match replaced {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => self.reload(attempt).await?,
                Err(error) if error.is_conflict() => {
                    return Err(Error::conflict(format!(
                        "field `{name}` was changed by others {ATTEMPTS} times in a row"
                    )));
                }
                replaced => {
                    if is_done(&replaced) {
                        self.state().pending.forget_seen(name, &seen);
                    }
                    return replaced;
                }
            }
        }
        unreachable!("attempts are counted")
    }

    async fn replace_once(&self, name: &str, before: Option<String>, text: Option<String>) -> Result<()> {
        if !self.exists() {
            // a deferred value of a visitor without a session was never stored, so there is nothing to remove
            return match text {
                Some(text) => self.create(Fields::from([(name, text)])).await,
                None => Ok(()),
            };
        }
        let mut delta = FieldChanges { expect: [(name.to_owned(), before)].into(), ..FieldChanges::default() };
        match text {
            Some(text) => delta.set(name, text),
            None => delta.remove(name),
        }
        self.change(delta).await
    }

    /// Returns the text as which a value of a field is stored.
    pub(super) fn text_for<V: Serialize + ?Sized>(&self, name: &str, value: &V) -> Result<String> {
        let text = match self.format() {
            TokenFormat::Secret => value::to_text(value),
            TokenFormat::Plain => value::to_raw_text(value),
        };
        text.map_err(|why| unwritable(name, why))
    }

    pub(super) fn check(&self, name: &str) -> Result<()> {
        check_name(name, self.format())
    }
}

/// A type that has no JSON is the application's mistake. A value that would not be read back unchanged may come from a
/// visitor.
pub(super) fn unwritable(name: &str, why: &'static str) -> Error {
    match why {
        value::NO_JSON => invalid_field(name, why),
        _ => Error::malformed(format!("field `{name}`"), why),
    }
}

fn invalid_field(name: &str, why: &'static str) -> Error {
    Error::invalid(format!("field `{name}`"), why)
}

/// Adds to the text of a counter.
pub(super) fn sum(name: &str, text: &str, by: i64) -> Result<i64> {
    let field = || format!("field `{name}`");
    let value = crate::record::counter(text).ok_or_else(|| Error::invalid(field(), crate::record::NOT_A_COUNTER))?;
    value.checked_add(by).ok_or_else(|| Error::malformed(field(), crate::record::COUNTER_OVERFLOW))
}
