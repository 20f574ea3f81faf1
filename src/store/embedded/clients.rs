//! The operators that are connected to a control socket. Their number is limited, and one that is silent cannot keep the others out.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How many operators may be connected at a time. Others wait for a place.
const MOST: usize = 16;
/// How long a client may keep the server waiting. After that it has to go if another client needs the place.
pub(super) const UNDISTURBED: Duration = Duration::from_secs(1);
/// How often to check whether a place has become free.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(super) struct Clients(Vec<(Arc<Place>, AbortHandle)>);

/// One client's place.
pub(super) struct Place {
    /// Since when the server waits for the client to ask or to read. `None` while a question is being answered.
    waited_for: Mutex<Option<Instant>>,
}

impl Clients {
    /// Waits until there is a place, and calls `serve` with it.
    pub(super) async fn seat(&mut self, serve: impl FnOnce(Arc<Place>) -> AbortHandle) {
        while !self.has_room() {
            tokio::time::sleep(LOOK).await;
        }
        let place = Arc::new(Place { waited_for: Mutex::new(Some(Instant::now())) });
        self.0.push((place.clone(), serve(place)));
    }

    /// Returns a place if there is one. If necessary, it is the place of the client that has kept the server waiting longest.
    fn has_room(&mut self) -> bool {
        self.0.retain(|(_, task)| !task.is_finished());
        if self.0.len() < MOST {
            return true;
        }
        let waited_for = self.0.iter().enumerate().filter_map(|(at, (place, _))| Some((place.waited_for()?, at)));
        match waited_for.min().filter(|(since, _)| since.elapsed() > UNDISTURBED) {
            Some((_, at)) => {
                self.0.swap_remove(at).1.abort();
                true
            }
            None => false,
        }
    }
}

impl Place {
    fn waited_for(&self) -> Option<Instant> {
        *self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, waited_for: Option<Instant>) {
        *self.waited_for.lock().unwrap_or_else(PoisonError::into_inner) = waited_for;
    }

    /// Waits for the client, but not longer than this.
    pub(super) async fn waiting<T>(
        &self,
        patience: Duration,
        client: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        self.note(Some(Instant::now()));
        let done = tokio::time::timeout(patience, client).await;
        self.note(None);
        done.map_err(|_| io::ErrorKind::TimedOut)?
    }
}
