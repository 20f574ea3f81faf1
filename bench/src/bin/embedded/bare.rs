//! The map that the embedded store is made of, with the same records, and nothing else: nothing is kept.

use std::sync::Arc;
use std::time::SystemTime;

use cloakroom::store::NewSession;
use cloakroom::{
    SessionId,
    store::{Change, Credentials, Record, Save, Terms},
};

use crate::Size;
use crate::load::{Figures, Peer, all_presented, fields, fill, loads_and_mix, pauses};

struct Bare {
    all: Vec<Credentials>,
    sessions: papaya::HashMap<SessionId, Arc<Record>>,
    terms: Terms,
}

pub(crate) fn measure(size: Size) -> Figures {
    let mut figures = Figures::new();
    let bare = Arc::new(Bare { all: all_presented(size), sessions: Default::default(), terms: Terms::default() });
    fill(&*bare, size, &mut figures);
    loads_and_mix(&bare, size, &mut figures);
    pauses(&bare, size, size.seconds * 5, "the mix alone", &mut figures);
    figures
}

impl Peer for Bare {
    async fn load(&self, session: usize) -> bool {
        let record = self.sessions.pin().get(&self.all[session].id).cloned();
        std::hint::black_box(record).is_some()
    }

    async fn change(&self, session: usize, number: u64) {
        let presented = &self.all[session];
        let sessions = self.sessions.pin();
        let Some(record) = sessions.get(&presented.id) else { return };
        let mut record = record.as_ref().clone();
        if record.apply(presented, &change(number), &self.terms, SystemTime::now()).is_ok() {
            sessions.insert(presented.id, Arc::new(record));
        }
    }

    async fn create(&self, session: usize) {
        let new = new_session(self.all[session]);
        let record = Record::new(&new, &self.terms, SystemTime::now()).unwrap();
        self.sessions.pin().insert(new.presented.id, Arc::new(record));
    }

    async fn revoke(&self, session: usize) {
        self.sessions.pin().remove(&self.all[session].id);
    }
}

pub(crate) fn new_session(presented: Credentials) -> NewSession {
    NewSession { presented, fields: fields(), idle_timeout: None, own_deadline: None }
}

pub(crate) fn change(number: u64) -> Change {
    let mut save = Save::default();
    save.fields.set.insert("views", number.to_string());
    save.into()
}
