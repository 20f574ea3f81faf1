//! What the fuzzer has kept, as tests.

use std::fs;
use std::path::Path;

/// Runs a target on each file of its corpus.
fn run(name: &str, target: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
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

macro_rules! hold_on_the_corpus {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            run(stringify!($target), super::$target);
        }
    )*};
}

hold_on_the_corpus! {
    answers cookies fields journal origins paths questions records reopening saved seals states tokens urls values
}
