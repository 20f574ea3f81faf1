//! Tries mutants without a build for each: all of them are written into the sources at once, and an environment variable says
//! which is active. A first run of the tests tells which mutants each of them comes to, so that a mutant is tried with these only,
//! the quick ones first, until one fails.
//!
//!     cloakroom-mutants TREE SECONDS "BINARY..." LIST.json...
//!
//! `TREE` is a copy of the repository, which is written over. A mutant is tried with tests that take `SECONDS` seconds in all, and
//! that are in these test binaries, or in the library. A list is what `cargo mutants --list --json` has printed; beside it a report
//! `LIST.tsv` is written: in each line an outcome, a mutant, and which test noticed it.
//!
//! With `MUTANTS_AGAIN` only those are tried that survived a run before, with what that run has built.

mod build;
mod list;
mod syntax;
mod tests;
mod weave;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use build::{Built, Tree};
use list::Mutant;
use tests::{Test, Verdict};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, seconds, binaries, lists @ ..] = arguments.as_slice() else {
        eprintln!("usage: cloakroom-mutants TREE SECONDS 'BINARY...' LIST.json...");
        std::process::exit(2);
    };
    let mut mutants = Vec::new();
    let mut areas = Vec::new();
    for list in lists {
        let first = mutants.len();
        mutants.extend(list::read(&std::fs::read_to_string(list).expect("a list can be read"), first + 1));
        areas.push((Path::new(list), first..mutants.len()));
    }
    let root = PathBuf::from(root);
    let binaries: Vec<String> = binaries.split_whitespace().map(str::to_owned).collect();
    let is_again = std::env::var_os("MUTANTS_AGAIN").is_some();
    let before = is_again.then(|| Some((Tree::built_before(&root)?, tests::kept(&root)?))).flatten();
    let (built, tests) = before.unwrap_or_else(|| {
        let built = Tree::at(&root, &mutants).build(&mutants, &binaries);
        let tests = tests::all(&root, &built.binaries);
        tests::keep(&root, &tests);
        (built, tests)
    });
    let all: Duration = tests.iter().map(|test| test.takes).sum();
    eprintln!("mutants: {} tests, which take {} s in all", tests.len(), all.as_secs());
    let budget = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let trial = Trial { root, built, tests, budget, killers: Mutex::default() };
    for (list, area) in areas {
        trial.report(&mutants[area], &list.with_extension("tsv"), is_again);
    }
}

/// The name of a mutant in a line of a report, and how many tests it has survived; `None` if it has not.
fn tried_before(line: &str) -> Option<(&str, Option<usize>)> {
    let mut columns = line.split('\t');
    let (outcome, name, note) = (columns.next()?, columns.next()?, columns.next()?);
    let survived = ["SURVIVED", "UNREACHED"].contains(&outcome);
    Some((name, survived.then(|| note.split(' ').next()?.parse().ok()).map(Option::unwrap_or_default)))
}

struct Trial {
    root: PathBuf,
    built: Built,
    /// The quickest first.
    tests: Vec<Test>,
    /// How long a mutant is tried.
    budget: Duration,
    /// Tests that have killed mutants of a function, the last one at the end: they are likely to kill the next one as well.
    killers: Mutex<HashMap<(String, String), Vec<usize>>>,
}

impl Trial {
    /// Tries the mutants of an area, two at a time; or, if that was done before, only those that survived.
    fn report(&self, mutants: &[Mutant], path: &Path, is_again: bool) {
        let before = if is_again { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let line_of = |line| tried_before(line).map(|(name, survived)| (name, (line, survived)));
        let before: HashMap<&str, (&str, Option<usize>)> = before.lines().filter_map(line_of).collect();
        let report = Mutex::new(File::create(path).expect("the report can be written"));
        let write =
            |line: &str| writeln!(report.lock().expect("nobody panics"), "{line}").expect("the report can be written");
        let counted: Mutex<BTreeMap<&str, usize>> = Mutex::default();
        let waiting = Mutex::new(mutants.iter());
        let work = || {
            let next = || waiting.lock().expect("nobody panics").next();
            while let Some(mutant) = next() {
                let survived = match before.get(mutant.name.as_str()) {
                    Some((line, None)) => {
                        write(line);
                        continue;
                    }
                    Some((_, Some(survived))) => *survived,
                    None => 0,
                };
                let (outcome, note) = self.judge(mutant, survived);
                *counted.lock().expect("nobody panics").entry(outcome).or_default() += 1;
                write(&format!("{outcome}\t{}\t{note}", mutant.name));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(work);
            }
        });
        let counted = counted.into_inner().expect("nobody panics");
        eprintln!("mutants: {}: {} in all: {counted:?}", path.display(), mutants.len());
    }

    /// What becomes of a mutant, and which test says so.
    fn judge(&self, mutant: &Mutant, survived: usize) -> (&'static str, String) {
        if self.built.unbuilt.contains(&mutant.number) {
            return ("unbuilt", String::new());
        }
        if self.built.left_out.contains(&mutant.number) {
            return ("left out", String::new());
        }
        let function = (mutant.file.clone(), mutant.function.clone());
        let mut reaching: Vec<usize> = self.tests_that_reach(mutant.number, &function);
        // those that it has survived before come last
        let survived = survived.min(reaching.len());
        reaching.rotate_left(survived);
        let (mut spent, mut tried) = (Duration::ZERO, 0);
        for at in &reaching {
            let test = &self.tests[*at];
            if spent + test.takes > self.budget && tried > 0 {
                continue;
            }
            (spent, tried) = (spent + test.takes, tried + 1);
            let verdict = test.judge(&self.root, mutant.number);
            if verdict != Verdict::Passes {
                let mut killers = self.killers.lock().expect("nobody panics");
                let killers = killers.entry(function).or_default();
                killers.retain(|killer| killer != at);
                killers.push(*at);
                let outcome = if verdict == Verdict::Hangs { "hangs" } else { "killed" };
                return (outcome, format!("{} {}", test.binary, test.name));
            }
        }
        let outcome = if reaching.is_empty() { "UNREACHED" } else { "SURVIVED" };
        (outcome, format!("{tried} of {} tests", reaching.len()))
    }

    fn tests_that_reach(&self, mutant: u32, function: &(String, String)) -> Vec<usize> {
        let killers = self.killers.lock().expect("nobody panics").get(function).cloned().unwrap_or_default();
        let killers: Vec<usize> = killers.into_iter().rev().collect();
        let others = (0..self.tests.len()).filter(|at| !killers.contains(at));
        let all = killers.iter().copied().chain(others);
        all.filter(|at| self.tests[*at].reaches.contains(&mutant)).collect()
    }
}
