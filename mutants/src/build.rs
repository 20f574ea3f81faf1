//! Builds the library with all mutants in it, without those that do not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::list::{Kind, Mutant};
use crate::weave::{Woven, weave};

/// A copy of the tree: its sources are written over.
pub struct Tree {
    pub root: PathBuf,
    /// The sources as they were.
    sources: BTreeMap<String, String>,
}

/// What was built.
pub struct Built {
    /// The test binaries, by name.
    pub binaries: Vec<(String, PathBuf)>,
    /// Mutants that do not compile.
    pub unbuilt: BTreeSet<u32>,
    /// Mutants that can only be tried one at a time.
    pub left_out: BTreeSet<u32>,
}

/// Where it is kept what was built.
const KEPT: &str = "target-built.json";

/// Broken code is not to be warned of.
const LENIENT: &str = "#![allow(warnings, arithmetic_overflow, overflowing_literals, unconditional_panic)]\n";

/// What asks which mutant is active; and, where somebody wants to know, tells which of them a test has come to.
const WOVEN: &str = r#"
#[doc(hidden)]
pub(crate) mod woven {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{LazyLock, Mutex};

    static ACTIVE: LazyLock<u32> =
        LazyLock::new(|| std::env::var("MUTANT").map_or(0, |number| number.parse().unwrap()));

    static TRACE: LazyLock<Option<Mutex<std::fs::File>>> = LazyLock::new(|| {
        let path = std::env::var_os("MUTANTS_TRACE")?;
        Some(Mutex::new(std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap()))
    });

    static SEEN: [AtomicBool; 8192] = [const { AtomicBool::new(false) }; 8192];

    pub(crate) fn on(number: u32) -> bool {
        if let Some(trace) = &*TRACE
            && !SEEN[number as usize].swap(true, Ordering::Relaxed)
        {
            trace.lock().unwrap().write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        *ACTIVE == number
    }
}
"#;

impl Tree {
    pub fn at(root: &Path, mutants: &[Mutant]) -> Tree {
        let files: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).chain(["src/lib.rs"]).collect();
        let read = |file: &str| std::fs::read_to_string(root.join(file)).expect("a source that is listed is there");
        let sources = files.into_iter().map(|file| (file.to_owned(), read(file))).collect();
        Tree { root: root.to_owned(), sources }
    }

    pub fn build(&self, mutants: &[Mutant], binaries: &[String]) -> Built {
        let (mut unbuilt, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for round in 1.. {
            let woven = self.write(mutants, &unbuilt);
            left_out.extend(woven.values().flat_map(|woven| woven.left_out.iter().copied()));
            let (is_built, answer) = self.cargo(&["check", "--lib"], &[]);
            let guilty = guilty_of(&answer, &woven);
            assert!(is_built || !guilty.is_empty(), "the library is not built, and no mutant is to blame");
            eprintln!("mutants: round {round}: {} of {} do not compile", guilty.len(), mutants.len());
            if is_built {
                break;
            }
            unbuilt.extend(guilty);
        }
        // without one of its arms a match may be exhaustive all the same, which it never is if its arms have conditions
        let is_arm = |number: &u32| mutants.iter().any(|mutant| mutant.number == *number && mutant.kind == Kind::Arm);
        left_out.extend(unbuilt.extract_if(.., |number| is_arm(number)));
        let binaries = self.build_tests(binaries);
        let paths: BTreeMap<_, _> = binaries.iter().map(|(name, path)| (name, path)).collect();
        let kept = json!({ "binaries": paths, "unbuilt": unbuilt, "left_out": left_out });
        std::fs::write(self.root.join(KEPT), kept.to_string()).expect("the copy can be written");
        Built { binaries, unbuilt, left_out }
    }

    /// What a run before has built and kept.
    pub fn built_before(root: &Path) -> Option<Built> {
        let kept: Value = serde_json::from_slice(&std::fs::read(root.join(KEPT)).ok()?).ok()?;
        let numbers = |name: &str| -> Option<BTreeSet<u32>> {
            kept[name].as_array()?.iter().map(|number| u32::try_from(number.as_u64()?).ok()).collect()
        };
        let binaries = kept["binaries"].as_object()?.iter();
        let binaries: Option<Vec<_>> =
            binaries.map(|(name, path)| Some((name.clone(), PathBuf::from(path.as_str()?)))).collect();
        Some(Built { binaries: binaries?, unbuilt: numbers("unbuilt")?, left_out: numbers("left_out")? })
    }

    /// Writes all mutants but these into the sources.
    fn write(&self, mutants: &[Mutant], without: &BTreeSet<u32>) -> BTreeMap<String, Woven> {
        let mut all = BTreeMap::new();
        for (file, source) in &self.sources {
            let here = mutants.iter().filter(|mutant| mutant.file == *file && !without.contains(&mutant.number));
            let woven = weave(source, &here.collect::<Vec<_>>());
            let (before, after) = if file == "src/lib.rs" { (LENIENT, WOVEN) } else { ("", "") };
            let text = format!("{before}{}{after}", woven.text);
            std::fs::write(self.root.join(file), text).expect("the copy can be written");
            all.insert(file.clone(), woven);
        }
        all
    }

    fn build_tests(&self, binaries: &[String]) -> Vec<(String, PathBuf)> {
        let mut chosen = vec!["--lib".to_owned()];
        chosen.extend(binaries.iter().map(|binary| format!("--test={binary}")));
        let (_, answer) = self.cargo(&["test", "--no-run"], &chosen);
        let built = answer.iter().filter(|message| message["profile"]["test"] == true);
        let built: Vec<_> = built
            .filter_map(|message| {
                let path = message["executable"].as_str()?;
                Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
            })
            .collect();
        assert_eq!(built.len(), chosen.len(), "not all test binaries were built");
        built
    }

    /// Whether it was built, and what cargo says, in JSON.
    fn cargo(&self, verb: &[&str], targets: &[String]) -> (bool, Vec<Value>) {
        let output = Command::new("cargo")
            .args(verb)
            .args(["--package", "cloakroom", "--all-features", "--message-format=json", "--quiet"])
            .args(targets)
            .current_dir(&self.root)
            // the library alone is built anew, and there is less to link
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo can be started");
        let lines = String::from_utf8_lossy(&output.stdout);
        (output.status.success(), lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// The mutants that the compiler's errors are about.
fn guilty_of(answer: &[Value], woven: &BTreeMap<String, Woven>) -> BTreeSet<u32> {
    let mut guilty = BTreeSet::new();
    for message in answer.iter().map(|message| &message["message"]) {
        let spans = message["spans"].as_array();
        if message["level"] != "error" || spans.is_none_or(Vec::is_empty) {
            continue;
        }
        let blamed = blamed_of(message, woven);
        assert!(!blamed.is_empty(), "an error that is no mutant's: {}", message["rendered"].as_str().unwrap_or("?"));
        guilty.extend(blamed);
    }
    guilty
}

/// Whoever has written what the error is about; or who changes the code that it is about, the shortest piece first.
fn blamed_of(message: &Value, woven: &BTreeMap<String, Woven>) -> Vec<u32> {
    let mut places = Vec::new();
    for span in message["spans"].as_array().into_iter().flatten() {
        let number = |name: &str| span[name].as_u64().unwrap_or_default() as usize;
        if let Some(woven) = woven.get(span["file_name"].as_str().unwrap_or_default()) {
            places.push((span["is_primary"] == true, woven, number("byte_start")..number("byte_end").max(1)));
        }
    }
    // the main place of an error first
    places.sort_by_key(|(is_primary, ..)| !is_primary);
    for (_, woven, place) in &places {
        let contains = |part: &std::ops::Range<usize>| part.start <= place.start && place.end <= part.end;
        // arms of a `match` without which it is not exhaustive: none of them can be deleted
        if message["code"]["code"] == "E0004" {
            let arms = woven.changed.iter().filter(|(part, kind, _)| *kind == Kind::Arm && contains(part));
            let arms: Vec<_> = arms.collect();
            let innermost = arms.last().map(|(part, ..)| part.clone());
            let arms = arms.iter().filter(|(part, ..)| Some(part) == innermost.as_ref());
            return arms.flat_map(|(.., mutants)| mutants.clone()).collect();
        }
        let touches = |part: &std::ops::Range<usize>| part.start < place.end && place.start < part.end;
        let written: Vec<_> = woven.written.iter().filter(|(part, _)| touches(part)).collect();
        if !written.is_empty() {
            // an error about a whole function is not about everything in it
            if let Some((_, mutants)) = written.iter().find(|(part, _)| contains(part)) {
                return mutants.clone();
            }
        }
        if let Some((.., mutants)) = woven.changed.iter().rfind(|(part, ..)| contains(part)) {
            return mutants.clone();
        }
        if let Some((_, mutants)) = written.first() {
            return mutants.clone();
        }
    }
    Vec::new()
}
