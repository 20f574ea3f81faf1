//! What was ever seen of each session in a store, whatever became of it.

use std::collections::HashMap;

use crate::oracle::Wrong;

/// By session ids.
#[derive(Default, Clone)]
pub(crate) struct Lives(HashMap<String, Life>);

#[derive(Clone)]
struct Life {
    created_at: String,
    /// Empty where nobody has signed in.
    user: String,
    is_gone: bool,
}

impl Lives {
    /// These sessions (id, when it was created, user) are there now, and no others. What is wrong with that: no id is ever used
    /// twice, a session that has gone is only there again where it `may_return`, and it belongs to one user in its life.
    pub(crate) fn see(&mut self, sessions: Vec<(String, String, String)>, may_return: bool) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut gone = std::mem::take(&mut self.0);
        for (id, created_at, user) in sessions {
            if let Some(before) = gone.remove(&id) {
                if before.created_at != created_at {
                    wrong.push(format!("the id {id} is used twice"));
                }
                if before.is_gone && !may_return {
                    wrong.push(format!("{id} had gone, and is there again"));
                }
                // what comes back is as it was when it was copied, perhaps before its user signed in
                if !may_return && !before.user.is_empty() && before.user != user {
                    wrong.push(format!("{id} was a session of {}, and is now of {user:?}", before.user));
                }
            }
            self.0.insert(id, Life { created_at, user, is_gone: false });
        }
        self.0.extend(gone.into_iter().map(|(id, life)| (id, Life { is_gone: true, ..life })));
        wrong
    }
}
