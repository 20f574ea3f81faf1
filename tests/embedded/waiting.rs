//! Who waits for a disk that does not take it is told so at once, and later changes are durable again.
//!
//! A sync fails here because the process has no file left with which the directory could be synced: the disk of a test cannot
//! be made to fail otherwise.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::{Credentials, Fields, StoreError, Terms};
use cloakroom::store::{Embedded, Outcome, Store as _, Target};

/// How long an answer may take, so that the test ends.
const PATIENCE: Duration = Duration::from_secs(20);

async fn made(store: &Embedded) -> Result<Credentials, StoreError> {
    let presented = mint();
    let new = new_session(presented, Fields::from([("cart", "x".repeat(1000).as_str())]));
    let terms = Terms::default();
    let answer = tokio::time::timeout(PATIENCE, store.create(&new, &terms)).await;
    match answer.expect("whoever waits is answered")? {
        Outcome::Done { not_durable: Some(error), .. } => Err(error),
        Outcome::Done { not_durable: None, .. } => Ok(presented),
        Outcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// Opens files until there are no more.
fn all_files() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
#[ignore = "started by the test that limits it"]
fn a_process_with_few_files() {
    let path = std::env::var("CLOAKROOM_WAITING").expect("the directory");
    // so that a part takes some changes
    let store = Embedded::builder(path).part_bytes(15_000).without_control_socket().wait_for_disk().open().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let before = made(&store).await.unwrap();
        let mut files = all_files();
        // the next part takes the one file that is left, unless the thread behind the store was faster
        let error = loop {
            files.pop();
            match made(&store).await {
                Ok(_) => files.extend(all_files()),
                Err(error) if error.is_not_durable() => break error,
                Err(_) => files.extend(all_files()),
            }
        };
        assert!(error.to_string().contains("the disk did not take it"), "{error}");

        // the part before is closed by now: nothing can be written again without a file, and later changes are told, too
        files.extend(all_files());
        let error = made(&store).await.expect_err("it is behind what the disk may not have");
        assert!(error.is_not_durable(), "{error}");
        let revoked = tokio::time::timeout(PATIENCE, store.revoke(&Target::Session(before.id))).await;
        let error = revoked.expect("whoever waits is answered").expect_err("nor is this on the disk");
        assert!(error.is_not_durable(), "{error}");

        drop(files);
        let begin = std::time::Instant::now();
        while let Err(error) = made(&store).await {
            assert!(begin.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(store.revoke(&Target::Session(before.id)).await.unwrap(), 0, "it has ended, and the disk has that");
    });
}

#[test]
fn after_a_sync_that_failed_nobody_waits_for_ever_and_later_changes_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "waiting::a_process_with_few_files", "--ignored", "--nocapture"]);
    let output = command.env("CLOAKROOM_WAITING", dir.path().join("store")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}
