//! An operator at a terminal that is none, and a Redis with sessions that an application has made with the library.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::ops::Deref;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::store::{NewSession, Outcome, Redis, RedisBuilder, Store as _};
use cloakroom::{
    Config, OnLimit, SessionId, UserId,
    store::{Change, Credentials, SecretHash, SignIn},
};
use serde_json::Value;

use super::demo::cloakroom;
use super::redis_server::RedisServer;

/// What a verb answered.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The one JSON value on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON values on stdout, one a line.
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The ids of the sessions that were listed as JSON.
    pub fn ids(&self) -> BTreeSet<String> {
        let id = |line: Value| line["id"].as_str().expect("an id").to_owned();
        let ids: Vec<_> = self.json_lines().into_iter().map(id).collect();
        let count = ids.len();
        let ids = BTreeSet::from_iter(ids);
        assert_eq!(ids.len(), count, "one is there twice: {self:?}");
        ids
    }

    /// The level of one of the doctor's checks, and all that was said of it: the text, an arrow, the advice.
    #[track_caller]
    pub fn finding(&self, check: &str) -> (String, String) {
        let report = self.json();
        let findings = report["findings"].as_array().expect("a list");
        let found = findings.iter().find(|finding| finding["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no {check}: {report}"));
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        (text("level"), format!("{} → {}", text("text"), text("advice")))
    }

    /// All of it.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a verb that ends by itself.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    said(cloakroom(arguments).envs(environment.iter().copied()))
}

/// Runs a command that ends by itself.
pub fn said(command: &mut Command) -> Said {
    let done = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: done.status.code().expect("an exit code"), stdout: text(done.stdout), stderr: text(done.stderr) }
}

/// A verb that runs on, killed when it is dropped.
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        let mut child = cloakroom(arguments).stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its stdout"));
        Running { child, lines }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).expect("it says something") > 0, "it has ended");
        line
    }

    /// Presses ctrl-c, and waits for the exit code.
    pub fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let done = std::process::Command::new("kill").args(["-INT", &pid]).status();
        assert!(done.expect("kill runs").success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Redis of a test's own, with an application's sessions in it.
pub struct House {
    pub redis: RedisServer,
    application: Application,
}

/// An application that makes sessions, wherever its store is.
pub struct Application {
    runtime: tokio::runtime::Runtime,
    store: Redis,
}

/// Whose house it is.
impl Deref for House {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

impl House {
    pub fn open() -> House {
        House::of(RedisServer::start())
    }

    /// On a server that runs already.
    pub fn of(redis: RedisServer) -> House {
        House { application: Application::of(Redis::builder(redis.url())), redis }
    }

    /// Runs a verb on this Redis.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_in(arguments, &[])
    }

    pub fn run_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        run(&[arguments, &["--redis-port", &self.redis.port().to_string()]].concat(), environment)
    }

    /// Starts a verb that runs on.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&[arguments, &["--redis-port", &self.redis.port().to_string()]].concat())
    }

    /// What redis-cli would get for these words.
    pub fn cli<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut query = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| {
            query.arg(word);
        });
        query.query(&mut self.redis.client()).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub fn exists(&self, id: &SessionId) -> bool {
        self.cli(&format!("EXISTS session:{}", id.expose()))
    }

    /// The hash of its secret, which nobody should be shown.
    pub fn secret_hash_of(&self, id: &SessionId) -> String {
        self.cli(&format!("HGET session:{} secret_hash", id.expose()))
    }
}

impl Application {
    /// Connects in its own way.
    pub fn of(store: RedisBuilder) -> Application {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let store = runtime.block_on(store.connect()).expect("it is there");
        Application { runtime, store }
    }

    /// A visitor's session, with one field.
    pub fn visitor(&self) -> SessionId {
        self.made(&["views", "1"]).id
    }

    /// A visitor's session that lives so many seconds.
    pub fn visitor_for(&self, seconds: u64) -> SessionId {
        self.made_for(seconds, &[]).id
    }

    /// A session with these fields: name, text, name, text.
    pub fn visitor_with(&self, fields: &[&str]) -> SessionId {
        self.made(fields).id
    }

    /// A session of a user.
    pub fn signed_in(&self, user: &str) -> SessionId {
        let visitor = self.made(&["views", "1"]);
        let user = UserId::try_from(user).expect("a user id");
        let new = SignIn {
            device: Some("Firefox on Linux".to_owned()),
            ip: Some("192.0.2.7".to_owned()),
            ..SignIn::new(user, 100, OnLimit::EvictOldest)
        };
        let change = Change::SignIn { new, secret_hash: secret_hash() };
        let done = self.runtime.block_on(self.store.apply(&visitor, &change, Config::default().terms()));
        assert!(matches!(done, Ok(Outcome::Done { .. })), "{done:?}");
        visitor.id
    }

    /// A session of an application with plain tokens, and its whole id.
    pub fn plain(&self) -> SessionId {
        let id = SessionId::parse(secret_hash().as_str()).expect("43 characters");
        self.create(Credentials { id, secret_hash: None }, 600, &[]);
        id
    }

    fn made(&self, fields: &[&str]) -> Credentials {
        self.made_for(600, fields)
    }

    fn made_for(&self, seconds: u64, fields: &[&str]) -> Credentials {
        let id = SessionId::parse(&URL_SAFE_NO_PAD.encode(scattered())).expect("an id");
        let presented = Credentials { id, secret_hash: Some(secret_hash()) };
        self.create(presented, seconds, fields);
        presented
    }

    fn create(&self, presented: Credentials, seconds: u64, fields: &[&str]) {
        let fields = fields.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
        let new =
            NewSession { presented, fields, idle_timeout: Some(Duration::from_secs(seconds)), own_deadline: None };
        let done = self.runtime.block_on(self.store.create(&new, Config::default().terms()));
        assert!(matches!(done, Ok(Outcome::Done { .. })), "{done:?}");
    }
}

/// Different each time, and spread over all ids. Nobody guesses at these sessions: they need not be random.
fn scattered() -> [u8; 16] {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    (u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).to_be_bytes()
}

fn secret_hash() -> SecretHash {
    let bytes = [scattered(), scattered()].concat();
    SecretHash::parse(&URL_SAFE_NO_PAD.encode(bytes)).expect("32 bytes")
}
