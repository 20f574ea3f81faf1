//! A process is killed, and the clock is set back before the next one starts: what was answered as ended stays ended.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::{Inspect as _, Save as _};
use cloakroom::store::{Embedded, Lookup, Memory, NewSession, Outcome, Store, Target};
use cloakroom::{
    Clock, Page, UserId,
    store::{Change, Credentials, FieldChanges, Refusal, Rotation, Save, Terms},
};

use crate::crashes::sign_in;

const IDLE: Duration = Duration::from_secs(30);
/// Less than the time after which an idle store writes its seal again.
const PATIENCE: Duration = Duration::from_secs(40);

/// A store whose clock is moved, with one session of a user that ends after [`IDLE`].
struct Scene {
    dir: tempfile::TempDir,
    start: SystemTime,
    clock: Clock,
    store: Embedded,
    presented: Credentials,
    user: UserId,
}

impl Scene {
    async fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let start = SystemTime::now();
        let clock = Clock::manual(start);
        // it is copied while it is open, and a socket is no file
        let store = Embedded::builder(dir.path().join("store")).clock(clock.clone()).without_control_socket();
        let store = store.open().unwrap();
        let visitor = mint();
        let new = NewSession { idle_timeout: Some(IDLE), ..new_session(visitor, Default::default()) };
        store.create(&new, &Terms::default()).await.unwrap();
        let user = UserId::try_from("andrew").unwrap();
        let presented = Credentials { secret_hash: mint().secret_hash, ..visitor };
        let sign_in = cloakroom::store::SignIn { idle_timeout: Some(IDLE), ..sign_in(user.clone()) };
        let change = Change::SignIn { new: sign_in, secret_hash: presented.secret_hash.unwrap() };
        store.apply(&visitor, &change, &Terms::default()).await.unwrap();
        Scene { dir, start, clock, store, presented, user }
    }

    /// Kills the process in mid-air (what it has written so far is all that is left), sets the clock back to shortly after
    /// the start, and opens the store again.
    fn after_kill_with_the_clock_set_back(&self) -> Embedded {
        let left = self.dir.path().join("left");
        copy(self.store.path(), &left);
        let clock = Clock::manual(self.start + Duration::from_secs(1));
        Embedded::builder(left).clock(clock).without_control_socket().open().unwrap()
    }

    async fn lives(&self, store: &Embedded) -> bool {
        store.load(&self.presented, &Terms::default()).await.unwrap().live().is_some()
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match fs::copy(entry.path(), to.join(entry.file_name())) {
            // a new seal that was just put in its place
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_session_that_was_answered_as_expired_does_not_live_again() {
    let terms = Terms::default();
    for question in ["a request", "a request at hand", "a change", "a list", "find", "scan", "save", "sign out"] {
        let scene = Scene::new().await;
        let (store, id) = (&scene.store, scene.presented.id);
        assert!(scene.lives(&scene.after_kill_with_the_clock_set_back()).await, "it would live");
        scene.clock.advance(2 * IDLE);
        match question {
            "a request" => assert_eq!(store.load(&scene.presented, &terms).await.unwrap(), Lookup::Gone),
            "a request at hand" => {
                // it may send the request to `load` instead of answering
                let at_hand = store.load_at_hand(&scene.presented, &terms);
                assert!(at_hand.is_none_or(|lookup| lookup == Lookup::Gone));
                assert_eq!(store.load(&scene.presented, &terms).await.unwrap(), Lookup::Gone);
            }
            "a change" => {
                let touch = Change::from(Save { touch: true, ..Save::default() });
                let answer = store.apply(&scene.presented, &touch, &terms).await.unwrap();
                assert!(matches!(answer, Outcome::Refused(Refusal::Gone)), "{answer:?}");
            }
            "a list" => assert_eq!(store.list(&scene.user, Page::default(), &terms).await.unwrap(), []),
            "find" => assert_eq!(store.find(&id, &terms).await.unwrap(), None),
            "scan" => assert_eq!(store.scan(None, 10).await.unwrap().ids, []),
            "save" => assert_eq!(store.save(&[id], &terms).await.unwrap(), [None]),
            _ => drop(store.revoke(&Target::AllOf(scene.user.clone())).await.unwrap()),
        }
        assert!(!scene.lives(&scene.after_kill_with_the_clock_set_back()).await, "after {question}");
    }
}

#[tokio::test]
async fn a_session_that_expired_while_nobody_asked_does_not_live_again_either() {
    let Scene { dir, start, clock, store, presented, user } = Scene::new().await;
    let path = store.path().to_owned();
    drop(store);
    let seal = || fs::read_to_string(path.join("seal")).unwrap();
    let closed = seal();
    clock.advance(Duration::from_secs(1));
    let store = Embedded::builder(&path).clock(clock.clone()).without_control_socket().open().unwrap();
    // once it has sealed what it found, it has no reason to do so again soon
    while seal() == closed {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let scene = Scene { dir, start, clock, store, presented, user };
    scene.clock.advance(2 * IDLE);
    let begin = Instant::now();
    while scene.lives(&scene.after_kill_with_the_clock_set_back()).await {
        assert!(begin.elapsed() < PATIENCE, "a store that nobody asks learns the time about once a second");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_previous_secret_whose_grace_was_over_opens_nothing_again() {
    let scene = Scene::new().await;
    let terms = Terms::default();
    let new = Credentials { secret_hash: mint().secret_hash, ..scene.presented };
    let fields = FieldChanges::default();
    let rotate = Rotation { secret_hash: new.secret_hash.unwrap(), drop_previous: false, fields }.into();
    scene.store.apply(&scene.presented, &rotate, &terms).await.unwrap();
    // the new one is used, so the grace of the one before begins
    let confirm = Save { confirm: true, ..Save::default() }.into();
    scene.store.apply(&new, &confirm, &terms).await.unwrap();
    assert!(scene.lives(&scene.store).await);
    while scene.lives(&scene.store).await {
        scene.clock.advance(Duration::from_secs(1));
    }
    let again = scene.after_kill_with_the_clock_set_back();
    assert!(!scene.lives(&again).await);
    assert!(again.load(&new, &terms).await.unwrap().live().is_some());
}

#[tokio::test]
async fn reading_an_ended_session_writes_to_the_journal_once() {
    let scene = Scene::new().await;
    let terms = Terms::default();
    let other = mint();
    scene.store.create(&new_session(other, Default::default()), &terms).await.unwrap();
    scene.clock.advance(2 * IDLE);
    let written = || fs::metadata(scene.store.path().join("journal-0000000001")).unwrap().len();
    let before = written();
    assert!(!scene.lives(&scene.store).await);
    let after = written();
    assert!(after > before);
    let wrong = Credentials { secret_hash: mint().secret_hash, ..other };
    for _ in 0..100 {
        assert!(!scene.lives(&scene.store).await);
        assert!(scene.store.load(&other, &terms).await.unwrap().live().is_some());
        assert_eq!(scene.store.load(&wrong, &terms).await.unwrap(), Lookup::Gone);
        assert_eq!(scene.store.load(&mint(), &terms).await.unwrap(), Lookup::Gone);
    }
    assert_eq!(written(), after);
}

#[tokio::test]
async fn an_evicted_browser_is_told_why_for_five_minutes_and_no_longer() {
    let scene = Scene::new().await;
    let memory = Memory::with_clock(scene.clock.clone());
    told_for_five_minutes(&scene.store, &scene.clock).await;
    told_for_five_minutes(&memory, &scene.clock).await;
}

async fn told_for_five_minutes(store: &impl Store, clock: &Clock) {
    let terms = Terms::default();
    let only = cloakroom::store::SignIn { max_sessions: 1, ..sign_in(UserId::try_from("anna").unwrap()) };
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let visitor = mint();
        store.create(&new_session(visitor, Default::default()), &terms).await.unwrap();
        let presented = Credentials { secret_hash: mint().secret_hash, ..visitor };
        let change = Change::SignIn { new: only.clone(), secret_hash: presented.secret_hash.unwrap() };
        store.apply(&visitor, &change, &terms).await.unwrap();
        sessions.push(presented);
    }
    clock.advance(Duration::from_secs(5 * 60 - 1));
    assert_eq!(store.load(&sessions[0], &terms).await.unwrap(), Lookup::Evicted);
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.load(&sessions[0], &terms).await.unwrap(), Lookup::Gone);
}
