//! The operator's end of the control socket, which reaches the store of a running process.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::clients::UNDISTURBED;
use super::control::{Address, Question};
use super::directory::missing_rights;
use crate::clock::from_millis;
use crate::error::StoreError;
use crate::record::{Page, Record, SessionId, Terms, UserId};
use crate::store::inspect::{Inspect, Scanned};
use crate::store::saved::{Save, Saved};
use crate::store::{Loaded, Target};

/// How many ids one question contains. Such a question is far shorter than the longest that the process reads.
const MOST_IDS: usize = 256;
/// How long to wait for a connection to the running process, and for each answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time that a connection may be idle and still be used for the next question. The process closes connections that were
/// idle for longer if others need the place.
const FRESH: Duration = UNDISTURBED.checked_div(2).unwrap();
/// How long to wait before the next attempt if too many others are connecting.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// An [`Embedded`](super::Embedded) store that another process of the same user has open, reached through a socket in its directory.
/// For operators' tools. The other process does what is asked, so that everything the store promises holds.
///
/// It finds, lists and ends sessions, but does not create or change them. Questions are asked one after the other.
#[derive(Debug)]
pub struct Attached {
    path: PathBuf,
    /// `None` while a question waits for its answer, and after one was abandoned, because its answer may still come.
    line: Mutex<Option<Line>>,
}

#[derive(Debug)]
struct Line {
    stream: BufReader<UnixStream>,
    used: Instant,
}

impl Line {
    fn new(stream: UnixStream) -> Line {
        Line { stream: BufReader::new(stream), used: Instant::now() }
    }
}

impl Attached {
    /// Connects to the process that has this directory open. Returns `None` if there is none. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Returns an error if this user may not connect, or if the process cannot be reached for another reason.
    pub async fn to(path: impl AsRef<Path>) -> Result<Option<Attached>, StoreError> {
        let path = path.as_ref().to_owned();
        let stream = connect(&path).await?;
        Ok(stream.map(|stream| Attached { path, line: Mutex::new(Some(Line::new(stream))) }))
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the ids of a user's sessions, the latest sign-in first.
    ///
    /// # Errors
    /// Returns an error if the process does not answer.
    pub async fn sessions_of(&self, user: &UserId, page: Page) -> Result<Vec<SessionId>, StoreError> {
        self.ids(Question::List(user.clone(), page)).await
    }

    /// Ends sessions immediately, and returns how many of them were live.
    ///
    /// # Errors
    /// Returns an error if the store has failed, or if the process does not answer. In the second case it is unknown whether the
    /// sessions have ended.
    pub async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let answer = self.ask(Question::Revoke(target.clone())).await?;
        answer["ended"].as_u64().ok_or_else(|| self.not_understood())
    }

    async fn ids(&self, question: Question) -> Result<Vec<SessionId>, StoreError> {
        let answer = self.ask(question).await?;
        let ids = answer["ids"].as_array().ok_or_else(|| self.not_understood())?;
        ids.iter()
            .map(|id| SessionId::parse(id.as_str()?).ok())
            .collect::<Option<_>>()
            .ok_or_else(|| self.not_understood())
    }

    async fn ask(&self, question: Question) -> Result<Value, StoreError> {
        let mut line = self.line.lock().await;
        let fresh = line.take().filter(|line| line.used.elapsed() < FRESH);
        let mut stream = match fresh {
            Some(line) => line.stream,
            None => BufReader::new(connect(&self.path).await?.ok_or_else(|| self.gone())?),
        };
        let mut text = String::new();
        let asked = async {
            stream.write_all(format!("{}\n", question.as_json()).as_bytes()).await?;
            stream.read_line(&mut text).await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(read)) if read > 0 => {}
            Ok(Ok(_)) => return Err(self.silent("it has closed the connection")),
            Ok(Err(error)) => return Err(self.silent(&error.to_string())),
            Err(_) => return Err(self.silent(&too_long())),
        }
        *line = Some(Line { stream, used: Instant::now() });
        let answer: Value = serde_json::from_str(&text).map_err(|_| self.not_understood())?;
        match answer["error"].as_str().map(str::to_owned) {
            None => Ok(answer),
            Some(error) if answer["is_not_durable"] == true => {
                Err(StoreError::not_durable(error).after_ending(answer["ended"].as_u64().unwrap_or_default()))
            }
            Some(error) if answer["is_unknown"] == true => Err(StoreError::unknown(error)),
            Some(error) => Err(StoreError::new(error)),
        }
    }

    fn gone(&self) -> StoreError {
        StoreError::new(format!(
            "the process that used the session store in {} has ended: run this again",
            self.path.display()
        ))
    }

    fn silent(&self, why: &str) -> StoreError {
        let path = self.path.display();
        StoreError::unknown(format!("the process that uses the session store in {path} did not answer: {why}"))
    }

    fn not_understood(&self) -> StoreError {
        self.silent("its answer cannot be read, perhaps because it is of another version")
    }
}

/// Connects to the process that has this directory open. Returns `None` if there is none.
async fn connect(dir: &Path) -> Result<Option<UnixStream>, StoreError> {
    let cannot = |why: &dyn std::fmt::Display| {
        StoreError::new(format!(
            "the process that uses the session store in {} cannot be reached: {why}",
            dir.display()
        ))
    };
    let connected = async {
        let address = Address::in_directory(dir)?;
        loop {
            match UnixStream::connect(&address.path).await {
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(BETWEEN_TRIES).await,
                connected => return connected,
            }
        }
    };
    let connected = tokio::time::timeout(PATIENCE, connected).await.map_err(|_| cannot(&too_long()))?;
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            // a process that was killed leaves a socket without a listener
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ok(None),
            // no process can listen where no socket can be
            ErrorKind::NotADirectory | ErrorKind::InvalidInput => Ok(None),
            ErrorKind::PermissionDenied => Err(cannot(&format!("{error}. {}", missing_rights(dir)))),
            _ => Err(cannot(&error)),
        },
    }
}

fn too_long() -> String {
    format!("it has not answered for {} seconds, perhaps because it was stopped or its disk hangs", PATIENCE.as_secs())
}

impl Inspect for Attached {
    async fn find(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let answer = self.ask(Question::Find(*id)).await?;
        let Some(found) = answer["found"].as_object() else { return Ok(None) };
        let fields: Option<Vec<_>> = found.iter().map(|(name, value)| Some((name, value.as_str()?))).collect();
        let record = fields.and_then(|fields| Record::from_stored(fields, id.is_plain(), terms));
        let loaded = record.zip(answer["now"].as_u64());
        let (record, now) = loaded.ok_or_else(|| self.not_understood())?;
        Ok(Some(Loaded { record: record.into(), now: from_millis(now) }))
    }

    async fn scan(&self, _cursor: Option<&str>, _about: usize) -> Result<Scanned, StoreError> {
        Ok(Scanned { ids: self.ids(Question::Scan).await?, next: None })
    }
}

impl Save for Attached {
    async fn save(&self, ids: &[SessionId], terms: &Terms) -> Result<Vec<Option<Saved>>, StoreError> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MOST_IDS) {
            let answer = self.ask(Question::Save(ids.to_vec())).await?;
            let saved = answer["saved"].as_array().filter(|saved| saved.len() == ids.len());
            for saved in saved.ok_or_else(|| self.not_understood())? {
                let saved = if saved.is_null() { Ok(None) } else { Saved::from_json(saved, terms).map(Some) };
                all.push(saved.map_err(|_| self.not_understood())?);
            }
        }
        Ok(all)
    }
}
