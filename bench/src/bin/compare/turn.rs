//! One application's turn: it is started, filled with sessions, loaded with each operation, and ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom_bench::{Kind, Operation};
use serde::{Deserialize, Serialize};

use crate::processes::{Application, Load, Loaded, Redis, load};
use crate::{Arguments, Result};

/// What one operation cost in one turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub requests: u64,
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub application_cpu_us: f64,
    pub redis_cpu_us: f64,
    /// Commands that the server ran for a request, those inside scripts included.
    pub redis_commands: f64,
    /// Scripts among them.
    pub redis_scripts: f64,
    /// Sessions that were still read after their sign-out.
    pub still_read: u64,
}

/// The files of cookies.
struct Jars {
    visitors: PathBuf,
    begun: PathBuf,
    signed_in: PathBuf,
}

pub fn measure(kind: Kind, arguments: &Arguments) -> Result<Vec<(Operation, Measured)>> {
    let directory = tempfile::tempdir()?;
    let jars = jars(directory.path(), arguments.sessions)?;
    let mut redis = Redis::start(directory.path(), &[])?;
    let application = Application::start(kind, &redis, directory.path(), false)?;
    begin(kind, &jars, &redis, directory.path(), &application)?;
    let mut turn = Turn { kind, application, redis: &mut redis };

    let warm_up = Load::For { seconds: 1, operation: Operation::Read, cookies: &jars.begun };
    turn.measured(&warm_up)?;
    let mut found = Vec::new();
    for operation in Operation::ALL {
        if !kind.does(operation) || !arguments.operations().contains(&operation) {
            continue;
        }
        let load = match operation {
            Operation::Read | Operation::Change => {
                Load::For { seconds: arguments.seconds, operation, cookies: &jars.begun }
            }
            Operation::SignIn => {
                Load::Once { path: "/sign-in/%d", cookies: &jars.begun, new_cookies: Some(&jars.signed_in) }
            }
            Operation::SignOut => Load::Once { path: "/sign-out", cookies: &jars.signed_in, new_cookies: None },
        };
        let mut measured = turn.measured(&load)?;
        if operation == Operation::SignOut {
            measured.still_read = turn.still_read(&jars.signed_in)?;
        }
        found.push((operation, measured));
    }
    Ok(found)
}

/// Fills the application with sessions and reads each of them, so that caches are warm. Then asks each of them for this once.
pub fn each_session_once(
    kind: Kind,
    operation: Option<Operation>,
    sessions: usize,
    redis: &Redis,
    directory: &Path,
    application: &Application,
) -> Result<()> {
    let jars = jars(directory, sessions)?;
    begin(kind, &jars, redis, directory, application)?;
    for operation in [Some(Operation::Read), operation].into_iter().flatten() {
        let once = Load::Once { path: operation.path(), cookies: &jars.begun, new_cookies: None };
        check(kind, &once, &load(application, &once)?)?;
    }
    Ok(())
}

fn jars(directory: &Path, sessions: usize) -> Result<Jars> {
    let visitors = directory.join("visitors");
    fs::write(&visitors, "\n".repeat(sessions))?;
    Ok(Jars { visitors, begun: directory.join("begun"), signed_in: directory.join("signed-in") })
}

/// Fills the application with sessions. The handler with one HGETALL reads those that the tutorial's code has made.
fn begin(kind: Kind, jars: &Jars, redis: &Redis, directory: &Path, application: &Application) -> Result<()> {
    if !kind.has_sessions() {
        fs::copy(&jars.visitors, &jars.begun)?;
        return Ok(());
    }
    let load_of = Load::Once { path: "/begin", cookies: &jars.visitors, new_cookies: Some(&jars.begun) };
    let found = if kind == Kind::OneHgetall {
        load(&Application::start(Kind::Tutorial, redis, directory, false)?, &load_of)?
    } else {
        load(application, &load_of)?
    };
    check(kind, &load_of, &found)
}

fn check(kind: Kind, load: &Load, found: &Loaded) -> Result<()> {
    if found.errors > 0 || found.requests == 0 || found.seconds <= 0.0 {
        return Err(format!("{}, {}: {found:?}", kind.name(), load.path()).into());
    }
    Ok(())
}

struct Turn<'a> {
    kind: Kind,
    application: Application,
    redis: &'a mut Redis,
}

impl Turn<'_> {
    fn measured(&mut self, loaded: &Load) -> Result<Measured> {
        let (cpu, redis_cpu) = (self.application.cpu()?, self.redis.cpu()?);
        let (commands, scripts) = self.redis.commands()?;
        let found = load(&self.application, loaded)?;
        check(self.kind, loaded, &found)?;
        let requests = found.requests as f64;
        let (commands_after, scripts_after) = self.redis.commands()?;
        Ok(Measured {
            requests: found.requests,
            requests_per_second: requests / found.seconds,
            p50_us: found.p50_us as f64,
            p99_us: found.p99_us as f64,
            application_cpu_us: (self.application.cpu()? - cpu) * 1e6 / requests,
            redis_cpu_us: (self.redis.cpu()? - redis_cpu) * 1e6 / requests,
            redis_commands: (commands_after - commands) / requests,
            redis_scripts: (scripts_after - scripts) / requests,
            still_read: 0,
        })
    }

    /// A figure for a sign-out that does nothing would be worthless. Ours must end every session; what others leave is
    /// said beside their figure.
    fn still_read(&self, signed_out: &Path) -> Result<u64> {
        let again = Load::Once { path: Operation::Read.path(), cookies: signed_out, new_cookies: None };
        let found = load(&self.application, &again)?;
        let still_read = found.requests - found.errors;
        if self.kind.is_ours() && still_read > 0 {
            return Err(format!("{}: {still_read} sessions are read after their sign-out", self.kind.name()).into());
        }
        Ok(still_read)
    }
}

/// What sessions take in Redis.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Memory {
    pub what: String,
    /// Growth of `used_memory` for each session: everything, indexes and the tables of keys included.
    pub used: f64,
    /// `MEMORY USAGE` of the session's own key.
    pub key: f64,
}

/// What the keys of Cloakroom's indexes begin with.
const INDEX: &str = "session:user:";

/// `long`: one value of 180 bytes. `listpack`: the server's `hash-max-listpack-value`.
pub fn memory(kind: Kind, sessions: usize, long: bool, listpack: u32) -> Result<Vec<Memory>> {
    let directory = tempfile::tempdir()?;
    let jars = jars(directory.path(), sessions)?;
    let mut redis = Redis::start(directory.path(), &["--hash-max-listpack-value", &listpack.to_string()])?;
    let application = Application::start(kind, &redis, directory.path(), long)?;
    let before = redis.used_memory()?;
    let begun = Load::Once { path: "/begin", cookies: &jars.visitors, new_cookies: Some(&jars.begun) };
    check(kind, &begun, &load(&application, &begun)?)?;
    let mut found = vec![taken(&mut redis, before, sessions, "anonymous")?];
    if kind.is_ours() {
        let signed_in = Load::Once { path: "/sign-in/%d", cookies: &jars.begun, new_cookies: Some(&jars.signed_in) };
        check(kind, &signed_in, &load(&application, &signed_in)?)?;
        found.push(taken(&mut redis, before, sessions, "signed in, with the index")?);
        for index in redis.ask::<Vec<String>>(&["KEYS", &format!("{INDEX}*")])? {
            () = redis.ask(&["DEL", &index])?;
        }
        found.push(taken(&mut redis, before, sessions, "signed in, without it")?);
    }
    Ok(found)
}

/// A JSON string of the same fields at a key of the same length, with an expiry.
pub fn memory_of_json(sessions: usize, long: bool) -> Result<Memory> {
    let directory = tempfile::tempdir()?;
    let mut redis = Redis::start(directory.path(), &[])?;
    let before = redis.used_memory()?;
    let mut fields: serde_json::Map<_, _> =
        cloakroom_bench::texts(long).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    fields.insert("views".to_owned(), 1.into());
    let json = serde_json::to_string(&fields)?;
    for number in 0..sessions {
        () = redis.ask(&["SET", &format!("session:{number:022}"), &json, "EX", "1800"])?;
    }
    taken(&mut redis, before, sessions, "a JSON string")
}

fn taken(redis: &mut Redis, before: f64, sessions: usize, what: &str) -> Result<Memory> {
    // what was freed on the way is returned by a background task
    std::thread::sleep(Duration::from_millis(200));
    let used = (redis.used_memory()? - before) / sessions as f64;
    let keys: Vec<String> = redis.ask(&["KEYS", "*"])?;
    let keys: Vec<_> = keys.iter().filter(|key| !key.starts_with(INDEX)).take(100).collect();
    let mut sum = 0.0;
    for key in &keys {
        sum += redis.ask::<f64>(&["MEMORY", "USAGE", key])?;
    }
    Ok(Memory { what: what.to_owned(), used, key: sum / keys.len().max(1) as f64 })
}
