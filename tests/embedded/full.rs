//! A disk that takes no more, played by a limit on the size of a file: changes are refused with a clear error, reading,
//! touching and ending sessions go on, and what was acknowledged is there afterwards. Once there is room, everything goes on.

use std::process::Command;
use std::time::{Duration, SystemTime};

use cloakroom::Clock;
use cloakroom::conformance::new_session;
use cloakroom::store::{Embedded, Lookup, NewSession, Store as _, Target};
use cloakroom::store::{Fields, Save, Terms};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::crashes::presented;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Says how many sessions it has made, and how many are left after it has ended the latest ones, until even the news of an
/// end does not fit any more. Then there is room again.
#[test]
#[ignore = "started by the test that limits it"]
fn a_process_whose_disk_is_full() {
    let path = std::env::var("CLOAKROOM_FULL").expect("the directory");
    let clock = Clock::manual(SystemTime::now());
    let store = Embedded::builder(&path).clock(clock.clone()).open().unwrap();
    let terms = Terms::default();
    let fields = || Fields::from([("cart".to_owned(), "x".repeat(300))]);
    runtime().block_on(async {
        let brief = presented(1, 0, 0);
        let new = NewSession { idle_timeout: Some(Duration::from_secs(60)), ..new_session(brief, fields()) };
        store.create(&new, &terms).await.unwrap();
        let mut made = 0;
        let error = loop {
            match store.create(&new_session(presented(0, made, 0), fields()), &terms).await {
                Ok(_) => made += 1,
                Err(error) => break format!("{error:?}"),
            }
        };
        assert!(error.contains("could not be written") && error.contains(store.path().to_str().unwrap()), "{error}");
        let refused = store.load(&presented(0, made, 0), &terms).await.unwrap();
        assert_eq!(refused, Lookup::Gone, "what was refused was not done");
        for session in 0..made {
            assert!(store.load(&presented(0, session, 0), &terms).await.unwrap().live().is_some(), "{session}");
        }
        let (mut left, mut told) = (made, Ok(1));
        while told.is_ok() {
            left -= 1;
            told = store.revoke(&Target::Session(presented(0, left, 0).id)).await;
        }
        let error = format!("{:?}", told.unwrap_err());
        assert!(error.contains("the session is live again"), "{error}");
        for session in left..made {
            assert_eq!(store.load(&presented(0, session, 0), &terms).await.unwrap(), Lookup::Gone, "{session}");
        }

        let touch = Save { touch: true, ..Save::default() }.into();
        clock.advance(Duration::from_secs(40));
        store.apply(&brief, &touch, &terms).await.unwrap();
        clock.advance(Duration::from_secs(40));
        assert!(store.load(&brief, &terms).await.unwrap().live().is_some(), "a touch keeps a session alive");
        let mut save = Save::default();
        save.fields.set.insert("cart", "y".repeat(400));
        store.apply(&presented(0, 0, 0), &save.into(), &terms).await.unwrap_err();
        let kept = store.load(&presented(0, 0, 0), &terms).await.unwrap().live().unwrap();
        assert_eq!(kept.record.fields["cart"], "x".repeat(300));

        setrlimit(Resource::Fsize, Rlimit { current: None, ..getrlimit(Resource::Fsize) }).unwrap();
        store.create(&new_session(presented(0, made, 0), fields()), &terms).await.unwrap();
        println!("\nmade {made}, left {left}");
    });
}

#[test]
fn on_a_full_disk_changes_are_refused_and_reading_and_ending_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut command = Command::new("sh");
    // without the trap the first write beyond the limit would kill it
    command.args(["-c", "trap '' XFSZ && ulimit -S -f 64 && exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "full::a_process_whose_disk_is_full", "--ignored", "--nocapture"]);
    let output = command.env("CLOAKROOM_FULL", &path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find_map(|line| line.strip_prefix("made ")).expect("how many");
    let (made, left) = line.split_once(", left ").unwrap();
    let (made, left): (u64, u64) = (made.parse().unwrap(), left.parse().unwrap());
    assert!(left > 20, "{line}");

    let store = Embedded::open(&path).unwrap();
    let terms = Terms::default();
    runtime().block_on(async {
        for session in (0..left).chain([made]) {
            assert!(store.load(&presented(0, session, 0), &terms).await.unwrap().live().is_some(), "{session}");
        }
        // the end of the first of these was written when there was room
        for session in left..made {
            let ended = store.load(&presented(0, session, 0), &terms).await.unwrap();
            assert_eq!(ended, Lookup::Gone, "{session}");
        }
    });
}
