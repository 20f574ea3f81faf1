//! What an application has in a session, and what each request makes of it.

use crate::story::Act;

/// The application's fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    pub(crate) cart: Option<u64>,
    pub(crate) count: Option<i64>,
    pub(crate) notes: Option<Vec<u64>>,
}

impl Contents {
    /// What a request that brings this number leaves.
    pub(crate) fn after(&self, act: Act, number: u64) -> Contents {
        let mut contents = self.clone();
        match act {
            Act::Put | Act::Form | Act::Leave => contents.cart = Some(number),
            Act::Count => contents.count = Some(contents.count.unwrap_or_default() + 1),
            Act::Push | Act::Append => contents.notes.get_or_insert_default().push(number),
            Act::Take => contents.notes = None,
            Act::Clear => contents = Contents::default(),
            _ => {}
        }
        contents
    }

    /// The names of the fields that are there, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        let there = [("cart", self.cart.is_some()), ("count", self.count.is_some()), ("notes", self.notes.is_some())];
        there.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()).collect()
    }

    /// No number is twice in a list: nobody brings the same one again.
    pub(crate) fn is_possible(&self) -> bool {
        let notes = self.notes.as_deref().unwrap_or_default();
        notes.iter().enumerate().all(|(nth, number)| !notes[..nth].contains(number))
    }
}
