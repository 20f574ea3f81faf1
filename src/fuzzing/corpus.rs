//! What the fuzzer has kept, as tests. The program's own targets run theirs with this file, too.

use std::fs;
use std::path::Path;

/// Runs a target on each file of its corpus.
pub(super) fn run(name: &str, target: impl Fn(&[u8])) {
    // the library is the root of the repository, and the program a folder in it
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("fuzz/corpus"));
    let dir = above.find(|dir| dir.is_dir()).expect("fuzz/corpus, which the repository has").join(name);
    let files =
        fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}, which the repository has: {error}", dir.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        println!("{}", path.display());
        target(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", dir.display());
}

/// Makes a test of each of these targets.
macro_rules! hold_on_the_corpus {
    ($($target:ident)*) => {
        mod holds_on_the_corpus {$(
            #[test]
            fn $target() {
                super::corpus::run(stringify!($target), super::$target);
            }
        )*}
    };
}

pub(super) use hold_on_the_corpus;
