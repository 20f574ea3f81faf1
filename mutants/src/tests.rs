//! The tests: which there are, how long they take, and which mutants each of them comes to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt;

use serde_json::{Value, json};

/// Where it is kept what was learned of the tests.
const KEPT: &str = "target-tests.json";

pub struct Test {
    pub binary: String,
    pub name: String,
    executable: PathBuf,
    /// How long it takes where nothing is broken.
    pub takes: Duration,
    pub reaches: HashSet<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
    Hangs,
}

/// Keeps what was learned of the tests, for when survivors are tried again.
pub fn keep(root: &Path, tests: &[Test]) {
    let kept: Vec<Value> = tests.iter().map(Test::to_json).collect();
    std::fs::write(root.join(KEPT), Value::from(kept).to_string()).expect("the copy can be written");
}

/// What a run before has learned and kept.
pub fn kept(root: &Path) -> Option<Vec<Test>> {
    let kept: Vec<Value> = serde_json::from_slice(&std::fs::read(root.join(KEPT)).ok()?).ok()?;
    kept.iter().map(Test::from_json).collect()
}

/// Runs every test once where nothing is broken, two at a time. One that fails even so says nothing, and is left out.
pub fn all(root: &Path, binaries: &[(String, PathBuf)]) -> Vec<Test> {
    let named = |(binary, executable): &(String, PathBuf)| {
        let test = |name| Test {
            binary: binary.clone(),
            name,
            executable: executable.clone(),
            takes: Duration::from_secs(30),
            reaches: HashSet::new(),
        };
        names(root, executable).into_iter().map(test).collect::<Vec<_>>()
    };
    let waiting = Mutex::new(binaries.iter().flat_map(named).collect::<Vec<_>>());
    let traced = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (waiting, traced) = (&waiting, &traced);
            scope.spawn(move || {
                let next = || waiting.lock().expect("nobody panics").pop();
                while let Some(mut test) = next() {
                    match test.trace(root, &root.join(format!("target-trace-{worker}"))) {
                        Verdict::Passes => traced.lock().expect("nobody panics").push(test),
                        _ => eprintln!("mutants: {} {} does not pass where nothing is broken", test.binary, test.name),
                    }
                }
            });
        }
    });
    let mut tests = traced.into_inner().expect("nobody panics");
    // what is quick first, and what is about little: it looks at that more closely
    tests.sort_by_key(|test| test.takes * u32::try_from(test.reaches.len()).expect("not as many"));
    tests
}

/// A directory for one run of one test. Its path is short: there are sockets in it.
fn scratch_directory() -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("mutants-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a temporary directory can be made");
    path
}

fn names(root: &Path, executable: &Path) -> Vec<String> {
    let listed = Command::new(executable).args(["--list", "--format=terse"]).current_dir(root).output();
    let listed = listed.expect("a test binary can be started");
    let lines = String::from_utf8_lossy(&listed.stdout);
    lines.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect()
}

impl Test {
    fn to_json(&self) -> Value {
        json!({
            "binary": self.binary,
            "name": self.name,
            "executable": self.executable,
            "millis": u64::try_from(self.takes.as_millis()).expect("not as long"),
            "reaches": self.reaches,
        })
    }

    fn from_json(kept: &Value) -> Option<Test> {
        let reaches = kept["reaches"].as_array()?.iter().map(|number| u32::try_from(number.as_u64()?).ok());
        Some(Test {
            binary: kept["binary"].as_str()?.to_owned(),
            name: kept["name"].as_str()?.to_owned(),
            executable: PathBuf::from(kept["executable"].as_str()?),
            takes: Duration::from_millis(kept["millis"].as_u64()?),
            reaches: reaches.collect::<Option<_>>()?,
        })
    }

    /// Runs it, and learns how long it takes and what it reaches.
    fn trace(&mut self, root: &Path, file: &Path) -> Verdict {
        let _ = std::fs::remove_file(file);
        let begun = Instant::now();
        let verdict = self.run(root, &[("MUTANTS_TRACE", file.to_str().expect("a path in UTF-8"))]);
        self.takes = begun.elapsed();
        let trace = std::fs::read_to_string(file).unwrap_or_default();
        self.reaches = trace.lines().filter_map(|line| line.parse().ok()).collect();
        verdict
    }

    /// Runs it while one mutant is active.
    pub fn judge(&self, root: &Path, mutant: u32) -> Verdict {
        self.run(root, &[("MUTANT", &mutant.to_string())])
    }

    fn run(&self, root: &Path, environment: &[(&str, &str)]) -> Verdict {
        let mut command = Command::new(&self.executable);
        command.args(["--exact", &self.name]).current_dir(root).envs(environment.iter().copied());
        // a directory and a group of its own: nothing of it outlives it
        let scratch = scratch_directory();
        command.env("TMPDIR", &scratch).env("CARGO_MANIFEST_DIR", root).env("NEXTEST", "1").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a test binary can be started");
        let verdict = self.wait(&mut child);
        if verdict != Verdict::Passes {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&scratch);
        verdict
    }

    fn wait(&self, child: &mut Child) -> Verdict {
        let patience = Duration::from_secs(15) + 4 * self.takes;
        let begun = Instant::now();
        loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) if status.success() => return Verdict::Passes,
                Some(_) => return Verdict::Fails,
                None if begun.elapsed() > patience => return Verdict::Hangs,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}
