//! The fields of a session. They are few and small, they are read far more often than changed, and a store may keep them for millions
//! of sessions.
//!
//! So all names and texts are in one string, one after the other, and a list says where each begins and ends. A map of strings would
//! need some twenty allocations for every session that is read, and as many accesses to memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Index, Range};

use smallvec::SmallVec;

/// The fields of a session: names and their values as text, in the order of the names.
///
/// ```
/// use cloakroom::store::Fields;
///
/// let mut fields = Fields::from([("name", "Ada"), ("cart", "3")]);
/// fields.insert("cart", "4");
/// assert_eq!(fields.get("cart"), Some("4"));
/// assert_eq!(fields.iter().collect::<Vec<_>>(), [("cart", "4"), ("name", "Ada")]);
/// ```
///
/// # Panics
/// Panics if names and texts together would have 4 GiB or more.
#[derive(Clone, Default)]
pub struct Fields {
    all: String,
    /// Sorted by name, whatever the order in `all` is. They cover everything in `all`.
    spans: SmallVec<[Span; FEW]>,
}

/// How many fields can be listed without an allocation.
const FEW: usize = 8;

/// Where a field is: its name, and directly after it its text.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    middle: u32,
    end: u32,
}

impl Span {
    fn name(self, all: &str) -> &str {
        &all[self.start as usize..self.middle as usize]
    }

    fn text(self, all: &str) -> &str {
        &all[self.middle as usize..self.end as usize]
    }

    fn whole(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Fields {
    /// Returns an empty set of fields.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns true if there are no fields.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns how many bytes the names and texts have together.
    pub fn bytes(&self) -> usize {
        self.all.len()
    }

    /// Returns the text of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|place| self.spans[place].text(&self.all))
    }

    /// Returns true if there is a field with this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Iterates over the names and their texts.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> + ExactSizeIterator {
        self.spans.iter().map(|span| (span.name(&self.all), span.text(&self.all)))
    }

    /// Iterates over the names.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.iter().map(|(name, _)| name)
    }

    /// Sets a field. Returns true if it is new.
    pub fn insert(&mut self, name: impl AsRef<str>, text: impl AsRef<str>) -> bool {
        let (name, text) = (name.as_ref(), text.as_ref());
        let was_there = self.remove(name);
        let place = self.find(name).unwrap_or_else(|place| place);
        let span = self.push(name, text);
        self.spans.insert(place, span);
        !was_there
    }

    /// Removes a field. Returns true if it existed.
    pub fn remove(&mut self, name: &str) -> bool {
        let Ok(place) = self.find(name) else { return false };
        let gone = self.spans.remove(place);
        self.all.replace_range(gone.whole(), "");
        for span in self.spans.iter_mut().filter(|span| span.start >= gone.end) {
            let len = gone.end - gone.start;
            *span = Span { start: span.start - len, middle: span.middle - len, end: span.end - len };
        }
        true
    }

    /// Keeps only the fields for which the function returns true.
    pub fn retain(&mut self, mut keeps: impl FnMut(&str, &str) -> bool) {
        *self = self.iter().filter(|(name, text)| keeps(name, text)).collect();
    }

    /// Returns where a field is, or where it would have to be inserted.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.spans.binary_search_by(|span| span.name(&self.all).cmp(name))
    }

    fn push(&mut self, name: &str, text: &str) -> Span {
        let end = |all: &String| u32::try_from(all.len()).expect("the fields of a session are less than 4 GiB");
        let start = end(&self.all);
        self.all.push_str(name);
        let middle = end(&self.all);
        self.all.push_str(text);
        Span { start, middle, end: end(&self.all) }
    }

    fn sort(&mut self) {
        let Fields { all, spans } = self;
        // a stable sort, so that the last of several fields with one name stays the last
        spans.sort_by(|a, b| a.name(all).cmp(b.name(all)));
        if spans.windows(2).any(|pair| pair[0].name(all) == pair[1].name(all)) {
            let last_of_each: BTreeMap<_, _> = self.iter().collect();
            *self = last_of_each.into_iter().collect();
        }
    }
}

/// If several fields have the same name, the last one counts.
impl<N: AsRef<str>, T: AsRef<str>> FromIterator<(N, T)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(all: I) -> Fields {
        let all = all.into_iter();
        // this is enough for most sessions, while growing step by step would copy everything each time
        let mut fields = Fields { all: String::with_capacity(512), spans: SmallVec::with_capacity(all.size_hint().0) };
        let mut is_sorted = true;
        for (name, text) in all {
            let last = fields.spans.last().map(|span| span.name(&fields.all));
            is_sorted &= last.is_none_or(|last| last < name.as_ref());
            let span = fields.push(name.as_ref(), text.as_ref());
            fields.spans.push(span);
        }
        if !is_sorted {
            fields.sort();
        }
        // the fields may be kept for a long time, so unused memory is given back
        fields.all.shrink_to_fit();
        fields.spans.shrink_to_fit();
        fields
    }
}

impl<N: AsRef<str>, T: AsRef<str>, const COUNT: usize> From<[(N, T); COUNT]> for Fields {
    fn from(fields: [(N, T); COUNT]) -> Fields {
        fields.into_iter().collect()
    }
}

impl<N: AsRef<str>, T: AsRef<str>> Extend<(N, T)> for Fields {
    fn extend<I: IntoIterator<Item = (N, T)>>(&mut self, others: I) {
        for (name, text) in others {
            self.insert(name, text);
        }
    }
}

impl Index<&str> for Fields {
    type Output = str;

    /// # Panics
    /// Panics if there is no field with this name.
    fn index(&self, name: &str) -> &str {
        self.get(name).expect("there is a field of this name")
    }
}

/// Two sets of fields are equal if they have the same names with the same texts.
impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(String, String),
        Remove(String),
        Extend(Vec<(String, String)>),
        RetainLonger(usize),
        Anew,
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || prop_oneof!["[a-d]{0,2}", "[aä€𝕏]{1,2}"];
        let text = || ".{0,5}";
        prop_oneof![
            4 => (name(), text()).prop_map(|(name, text)| Step::Insert(name, text)),
            2 => name().prop_map(Step::Remove),
            1 => prop::collection::vec((name(), text()), 0..6).prop_map(Step::Extend),
            1 => (0..3_usize).prop_map(Step::RetainLonger),
            1 => Just(Step::Anew),
        ]
    }

    proptest! {
        #[test]
        fn fields_behave_like_a_map_of_strings(steps in prop::collection::vec(step(), 0..40)) {
            let (mut fields, mut map) = (Fields::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(name, text) => {
                        prop_assert_eq!(fields.insert(&name, &text), map.insert(name, text).is_none());
                    }
                    Step::Remove(name) => prop_assert_eq!(fields.remove(&name), map.remove(&name).is_some()),
                    Step::Extend(others) => {
                        fields.extend(others.clone());
                        map.extend(others);
                    }
                    Step::RetainLonger(len) => {
                        fields.retain(|_, text| text.len() > len);
                        map.retain(|_, text: &mut String| text.len() > len);
                    }
                    // in the order in which they stand, so that sorting has something to do
                    Step::Anew => fields = fields.iter().rev().collect(),
                }
                prop_assert!(fields.iter().eq(map.iter().map(|(name, text)| (name.as_str(), text.as_str()))));
                prop_assert_eq!(fields.len(), map.len());
                prop_assert_eq!(fields.bytes(), map.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>());
                for name in map.keys() {
                    prop_assert_eq!(fields.get(name), map.get(name).map(String::as_str));
                }
                prop_assert_eq!(fields.get("never there"), None);
                prop_assert_eq!(&fields, &map.iter().collect::<Fields>());
                prop_assert_eq!(format!("{fields:?}"), format!("{map:?}"));
            }
        }
    }

    #[test]
    fn debug_shows_them_as_a_map() {
        assert_eq!(
            format!("{:?}", Fields::from([("name", "Ada"), ("cart", "[]")])),
            r#"{"cart": "[]", "name": "Ada"}"#
        );
    }

    #[test]
    fn of_several_with_one_name_the_last_counts() {
        assert_eq!(Fields::from([("b", "1"), ("a", "2"), ("b", "3")]), Fields::from([("a", "2"), ("b", "3")]));
        assert_eq!(Fields::from([("b", "1"), ("a", "2"), ("b", "3")]).bytes(), 4);
    }
}
