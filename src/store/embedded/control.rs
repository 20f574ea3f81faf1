//! A socket in the store's directory through which operators reach the sessions of a running process. A question is one line of JSON,
//! and so is its answer. The verbs are those of the store, so everything that the store promises holds.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::Embedded;
use super::clients::{Clients, Place};
use super::directory::{Identity, check_in_place, identity};
use crate::clock::to_millis;
use crate::error::StoreError;
use crate::record::{Page, SessionId, Terms, UserId};
use crate::store::inspect::Inspect as _;
use crate::store::saved::{Save as _, Saved};
use crate::store::{Store as _, Target};

/// The longest question, in bytes.
const LONGEST_LINE: u64 = 16 * 1024;
/// How long a client may send nothing before its connection is closed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client may take to read an answer before its connection is closed.
const PATIENCE_WITH_READERS: Duration = Duration::from_secs(30);

/// The socket's name in the store's directory.
pub(super) const NAME: &str = "control";
/// The longest path that a socket may have on every Unix, in bytes.
const LONGEST_PATH: usize = 100;

/// The socket in a store's directory, as the operating system takes it.
pub(super) struct Address {
    pub(super) path: PathBuf,
    /// The handle through which the directory is named if its path is too long.
    _dir: Option<File>,
}

impl Address {
    /// # Errors
    /// Returns an error if there is no directory, or if its path is too long and there is no shorter name for it.
    pub(super) fn in_directory(dir: &Path) -> io::Result<Address> {
        let path = dir.join(NAME);
        if path.as_os_str().len() <= LONGEST_PATH {
            return Ok(Address { path, _dir: None });
        }
        let dir = File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(NAME);
        match cfg!(target_os = "linux") {
            true => Ok(Address { path, _dir: Some(dir) }),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the path of a socket may have {LONGEST_PATH} bytes here: use a directory with a shorter path"),
            )),
        }
    }
}

/// The handle of the listening thread. Dropping it ends the thread.
pub(super) struct Control {
    path: PathBuf,
    identity: Identity,
    stop: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Control {
    /// Listens for processes of the same user, and of root.
    pub(super) fn start(store: Embedded) -> io::Result<Control> {
        let path = store.path().join(NAME);
        // this process has locked the directory, so a socket of this name is left from a process that was killed
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let address = Address::in_directory(store.path())?;
        let listener = std::os::unix::net::UnixListener::bind(&address.path)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let metadata = fs::symlink_metadata(&path)?;
        let user = metadata.uid();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("cloakroom-control".into()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(listen(listener, store, user));
                stopped.notified().await;
            });
        })?;
        Ok(Control { path, identity: identity(&metadata), stop, thread: Mutex::new(Some(thread)) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        // if somebody has moved the directory, another process may have made its own socket there
        if check_in_place(&self.path, self.identity).is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn listen(listener: std::os::unix::net::UnixListener, store: Embedded, user: u32) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    let mut clients = Clients::default();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // there are too many open files: wait until some are closed
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let is_allowed = client.peer_cred().is_ok_and(|peer| [user, 0].contains(&peer.uid()));
        if is_allowed {
            let store = store.clone();
            let serve = |place: Arc<Place>| {
                let serving = async move { serve(client, &store, &place).await };
                tokio::spawn(serving).abort_handle()
            };
            clients.seat(serve).await;
        }
    }
}

/// Answers questions until the operator leaves, or sends something that is not a question.
async fn serve(client: UnixStream, store: &Embedded, place: &Place) -> io::Result<()> {
    let (reading, mut writing) = client.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reading).take(LONGEST_LINE);
        let read = place.waiting(PATIENCE, limited.read_until(b'\n', &mut line)).await?;
        if read == 0 {
            return Ok(());
        }
        let question = serde_json::from_slice(&line).ok().and_then(|question| Question::of(&question));
        let is_understood = question.is_some();
        let answer = match question {
            Some(question) => question.answered_by(store).await.unwrap_or_else(|error| in_words(&error)),
            None => json!({ "error": "the question is not understood: it is from another version" }),
        };
        let answer = format!("{answer}\n");
        place.waiting(PATIENCE_WITH_READERS, writing.write_all(answer.as_bytes())).await?;
        if !is_understood {
            return Ok(());
        }
    }
}

fn in_words(error: &StoreError) -> Value {
    json!({
        "error": error.to_string(),
        "is_not_durable": error.is_not_durable(),
        "is_unknown": error.is_unknown(),
        "ended": error.ended(),
    })
}

/// The questions of operators.
pub(super) enum Question {
    Find(SessionId),
    Save(Vec<SessionId>),
    Scan,
    List(UserId, Page),
    Revoke(Target),
}

impl Question {
    /// Returns the question as it is sent.
    pub(super) fn as_json(&self) -> Value {
        match self {
            Question::Find(id) => json!({ "find": id.expose() }),
            Question::Save(ids) => json!({ "save": ids.iter().map(SessionId::expose).collect::<Vec<_>>() }),
            Question::Scan => json!({ "scan": true }),
            Question::List(user, page) => json!({ "list": user.as_str(), "offset": page.offset, "limit": page.limit }),
            Question::Revoke(target) => match target {
                Target::Session(id) => json!({ "revoke": id.expose() }),
                Target::SessionOf(user, id) => json!({ "revoke": id.expose(), "of": user.as_str() }),
                Target::OthersOf(user, kept) => json!({ "revoke_but": kept.expose(), "of": user.as_str() }),
                Target::AllOf(user) => json!({ "revoke_all_of": user.as_str() }),
            },
        }
    }

    pub(super) fn of(question: &Value) -> Option<Question> {
        let id = |name: &str| SessionId::parse(question[name].as_str()?).ok();
        let user = |name: &str| UserId::try_from(question[name].as_str()?).ok();
        let number = |name: &str| usize::try_from(question[name].as_u64()?).ok();
        match question.as_object()?.keys().map(String::as_str).collect::<Vec<_>>()[..] {
            ["find"] => Some(Question::Find(id("find")?)),
            ["save"] => {
                let ids = question["save"].as_array()?.iter().map(|id| SessionId::parse(id.as_str()?).ok());
                Some(Question::Save(ids.collect::<Option<_>>()?))
            }
            ["scan"] => (question["scan"] == true).then_some(Question::Scan),
            ["limit", "list", "offset"] => {
                Some(Question::List(user("list")?, Page { offset: number("offset")?, limit: number("limit")? }))
            }
            ["revoke"] => Some(Question::Revoke(Target::Session(id("revoke")?))),
            ["of", "revoke"] => Some(Question::Revoke(Target::SessionOf(user("of")?, id("revoke")?))),
            ["of", "revoke_but"] => Some(Question::Revoke(Target::OthersOf(user("of")?, id("revoke_but")?))),
            ["revoke_all_of"] => Some(Question::Revoke(Target::AllOf(user("revoke_all_of")?))),
            _ => None,
        }
    }

    async fn answered_by(&self, store: &Embedded) -> Result<Value, StoreError> {
        // none of these answers depends on the application's configuration
        let terms = Terms::default();
        Ok(match self {
            Question::Find(id) => match store.find(id, &terms).await? {
                None => json!({ "found": null }),
                Some(found) => {
                    let fields: serde_json::Map<_, _> =
                        found.record.to_stored().into_iter().map(|(name, text)| (name, text.into())).collect();
                    json!({ "found": fields, "now": to_millis(found.now) })
                }
            },
            Question::Save(ids) => {
                let saved = store.save(ids, &terms).await?;
                json!({ "saved": saved.iter().map(|saved| saved.as_ref().map(Saved::to_json)).collect::<Vec<_>>() })
            }
            Question::Scan => {
                let ids = store.scan(None, usize::MAX).await?.ids;
                json!({ "ids": ids.iter().map(SessionId::expose).collect::<Vec<_>>() })
            }
            Question::List(user, page) => {
                let devices = store.list(user, *page, &terms).await?;
                json!({ "ids": devices.iter().map(|device| device.id.expose()).collect::<Vec<_>>() })
            }
            Question::Revoke(target) => json!({ "ended": store.revoke(target).await? }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_understood_as_it_was_sent() {
        let id = || SessionId::parse("Zk3V0pXq1mB8sT5rYw2uCg").unwrap();
        let user = || UserId::try_from("andrew").unwrap();
        let questions = [
            Question::Find(id()),
            Question::Save(vec![id(), id()]),
            Question::Scan,
            Question::List(user(), Page { offset: 3, limit: 100 }),
            Question::Revoke(Target::Session(id())),
            Question::Revoke(Target::SessionOf(user(), id())),
            Question::Revoke(Target::OthersOf(user(), id())),
            Question::Revoke(Target::AllOf(user())),
        ];
        for question in questions {
            let sent = question.as_json();
            let understood = Question::of(&sent).unwrap_or_else(|| panic!("{sent}"));
            assert_eq!(understood.as_json(), sent);
        }
        let (find, save) = (json!({ "find": "x" }), json!({ "save": ["x"] }));
        for rubbish in [json!(null), json!([]), json!({}), find, save, json!({ "scan": true, "find": "x" })] {
            assert!(Question::of(&rubbish).is_none(), "{rubbish}");
        }
    }
}
