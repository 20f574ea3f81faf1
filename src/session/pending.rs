//! Collects the deferred changes of a request, which are stored in one step when the response is ready.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::record::{FieldChanges, Fields};

/// Deferred changes. A field stands in at most one of `set`, `remove` and `pushed`.
#[derive(Clone, Default)]
pub(super) struct Pending {
    set: Fields,
    remove: BTreeSet<String>,
    pushed: AllPushed,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) own_deadline: Option<Option<SystemTime>>,
    /// A session is to be made, even if nothing is set.
    pub(super) begins: bool,
}

/// Items to append to a list. What the list becomes is known only when it is stored, because other requests may push to it,
/// too.
#[derive(Clone)]
pub(super) struct Pushed {
    items: Vec<String>,
    is_list: IsList,
}

pub(super) type AllPushed = BTreeMap<String, Pushed>;

/// Whether a stored text is a list of the items' type.
pub(super) type IsList = fn(&str) -> bool;

/// What was pending for a field at some moment.
pub(super) struct Seen {
    text: Option<Option<String>>,
    pushed: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        let changes_lifetime = self.idle_timeout.is_some() || self.own_deadline.is_some();
        self.remove.is_empty() && !changes_lifetime && !self.makes_a_session()
    }

    /// Whether a visitor without a session gets one for these changes.
    pub(super) fn makes_a_session(&self) -> bool {
        self.begins || !self.set.is_empty() || !self.pushed.is_empty()
    }

    /// Whether something is to be appended to a list. Its stored text must then not have changed.
    pub(super) fn has_pushed(&self) -> bool {
        !self.pushed.is_empty()
    }

    pub(super) fn set(&mut self, name: &str, text: String) {
        self.remove.remove(name);
        self.pushed.remove(name);
        self.set.insert(name, text);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.set.remove(name);
        self.pushed.remove(name);
        self.remove.insert(name.to_owned());
    }

    pub(super) fn push(&mut self, name: &str, item: String, is_list: IsList) {
        match self.of(name).map(|text| text.map(str::to_owned)) {
            Some(text) => self.set(name, appended(text.as_deref(), &[item], is_list)),
            None => {
                let pushed = self.pushed.entry(name.to_owned());
                pushed.or_insert(Pushed { items: Vec::new(), is_list }).items.push(item);
            }
        }
    }

    /// Removes these fields, and forgets what else was to be set.
    pub(super) fn clear<'a>(&mut self, stored: impl Iterator<Item = &'a str>) {
        self.set = Fields::new();
        self.pushed.clear();
        self.remove.extend(stored.map(str::to_owned));
    }

    /// Returns what becomes of a field: `Some(None)` if it is removed, and `None` if it is left alone or only pushed to.
    pub(super) fn of(&self, name: &str) -> Option<Option<&str>> {
        match self.set.get(name) {
            Some(text) => Some(Some(text)),
            None => self.remove.contains(name).then_some(None),
        }
    }

    /// Returns the text of a field after these changes.
    pub(super) fn text_of<'a>(&'a self, name: &str, stored: Option<&'a str>) -> Option<Cow<'a, str>> {
        match (self.of(name), self.pushed.get(name)) {
            (Some(text), _) => text.map(Cow::Borrowed),
            (None, Some(pushed)) => Some(Cow::Owned(appended(stored, &pushed.items, pushed.is_list))),
            (None, None) => stored.map(Cow::Borrowed),
        }
    }

    /// Whether the stored text of a field is replaced or removed.
    pub(super) fn replaces(&self, name: &str) -> bool {
        self.set.contains_key(name) || self.remove.contains(name)
    }

    /// Returns the names of all fields that are set or pushed to, and how many bytes of text each adds.
    pub(super) fn grows(&self) -> impl Iterator<Item = (&str, usize)> {
        let set = self.set.iter().map(|(name, text)| (name, text.len()));
        let len = |pushed: &Pushed| pushed.items.iter().map(|item| item.len() + 1).sum();
        set.chain(self.pushed.iter().map(move |(name, pushed)| (name.as_str(), len(pushed))))
    }

    /// Returns what to ask of the store. What was pushed is taken out and returned as well, so that it is not asked again
    /// while it is unknown whether it was stored. A list must still have the text that it had, or what another request has
    /// pushed meanwhile would be lost.
    pub(super) fn ask(&mut self, stored: &Fields) -> (FieldChanges, AllPushed) {
        let mut delta = FieldChanges {
            set: self.set.clone(),
            remove: self.remove.clone(),
            idle_timeout: self.idle_timeout,
            own_deadline: self.own_deadline,
            ..FieldChanges::default()
        };
        for (name, Pushed { items, is_list }) in &self.pushed {
            let before = stored.get(name);
            delta.set(name, appended(before, items, *is_list));
            delta.expect.insert(name.clone(), before.map(str::to_owned));
        }
        (delta, std::mem::take(&mut self.pushed))
    }

    /// Puts back what was asked and was not stored, before what was pushed meanwhile.
    pub(super) fn take_back(&mut self, pushed: AllPushed) {
        for (name, mut pushed) in pushed {
            if self.replaces(&name) {
                continue;
            }
            let since = self.pushed.remove(&name).map(|since| since.items);
            pushed.items.extend(since.into_iter().flatten());
            self.pushed.insert(name, pushed);
        }
    }

    /// Takes out what has been stored, unless it was changed again meanwhile.
    pub(super) fn forget(&mut self, stored: &FieldChanges) {
        self.set.retain(|name, text| stored.set.get(name) != Some(text));
        self.remove.retain(|name| !stored.remove.contains(name));
        if self.idle_timeout == stored.idle_timeout {
            self.idle_timeout = None;
        }
        if self.own_deadline == stored.own_deadline {
            self.own_deadline = None;
        }
        self.begins = false;
    }

    pub(super) fn seen(&self, name: &str) -> Seen {
        Seen {
            text: self.of(name).map(|text| text.map(str::to_owned)),
            pushed: self.pushed.get(name).map_or(0, |pushed| pushed.items.len()),
        }
    }

    /// Takes out what was pending for a field, unless it was changed again meanwhile.
    pub(super) fn forget_seen(&mut self, name: &str, seen: &Seen) {
        if self.of(name) == seen.text.as_ref().map(Option::as_deref) {
            self.set.remove(name);
            self.remove.remove(name);
        }
        if let Some(pushed) = self.pushed.get_mut(name) {
            pushed.items.drain(..seen.pushed.min(pushed.items.len()));
            if pushed.items.is_empty() {
                self.pushed.remove(name);
            }
        }
    }
}

/// Returns the text of a list with more items at its end. A text that is not such a list counts as an empty one.
pub(super) fn appended(list: Option<&str>, items: &[String], is_list: IsList) -> String {
    let list = list.filter(|text| is_list(text)).map(str::trim_ascii);
    let before = list.and_then(|text| text.strip_prefix('[')?.strip_suffix(']')).map_or("", str::trim_ascii);
    let all: Vec<&str> =
        [before].into_iter().filter(|text| !text.is_empty()).chain(items.iter().map(String::as_str)).collect();
    format!("[{}]", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appends(list: Option<&str>, items: &[&str]) -> String {
        let items: Vec<_> = items.iter().map(|item| (*item).to_owned()).collect();
        appended(list, &items, |text| serde_json::from_str::<Vec<u8>>(text).is_ok())
    }

    #[test]
    fn items_are_appended_to_a_list_that_is_already_stored() {
        assert_eq!(appends(None, &["1", "2"]), "[1,2]");
        assert_eq!(appends(Some("[]"), &["1"]), "[1]");
        assert_eq!(appends(Some(" [ 1, 2 ]\n"), &["3"]), "[1, 2,3]");
        for no_list in ["", "3", "null", "[300]", r#"["a"]"#, "[1", r#"{"a":[1]}"#] {
            assert_eq!(appends(Some(no_list), &["1"]), "[1]", "{no_list}");
        }
    }

    #[test]
    fn a_server_is_asked_for_tracking_once_unless_the_answer_is_withdrawn() {
        let mut pending = Pending::default();
        let stored = Fields::from([("list", "[1]")]);
        for item in ["2", "3"] {
            pending.push("list", item.to_owned(), |_| true);
        }
        let (delta, pushed) = pending.ask(&stored);
        assert_eq!((delta.set.get("list"), delta.expect["list"].as_deref()), (Some("[1,2,3]"), Some("[1]")));
        assert!(pending.is_empty());
        pending.push("list", "4".to_owned(), |_| true);
        pending.take_back(pushed);
        assert_eq!(pending.text_of("list", Some("[1]")).unwrap(), "[1,2,3,4]");

        let (_, pushed) = pending.ask(&stored);
        pending.remove("list");
        pending.take_back(pushed);
        assert_eq!(pending.text_of("list", Some("[1]")), None, "it was removed meanwhile");
    }
}
