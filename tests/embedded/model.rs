//! Random programs of all verbs, with time passing and restarts between, do the same as in memory.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use cloakroom::store::{Embedded, Memory, Store, Target};
use cloakroom::{
    Clock, Page, UserId,
    store::{Credentials, Terms},
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::verbs::{SECRETS, Times, Verb, run, secrets, step};

const SESSIONS: usize = 5;
const USERS: [&str; 2] = ["andrew", "beth"];
/// A user's sessions: few, so that the limit is met.
const MOST: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Verb(usize, usize, Box<Verb>),
    SignOut(usize, usize),
    Revoke(Whom, usize, usize),
    List(usize),
    Wait(u64),
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Whom {
    One,
    Others,
    All,
}

fn any_step() -> impl Strategy<Value = Step> {
    let whom = prop::sample::select(&[Whom::One, Whom::Others, Whom::All]);
    prop_oneof![
        30 => step(SESSIONS, MOST).prop_map(|(session, secret, verb)| Step::Verb(session, secret, Box::new(verb))),
        1 => (0..SESSIONS, 0..SECRETS).prop_map(|(session, secret)| Step::SignOut(session, secret)),
        2 => (whom, 0..SESSIONS, 0..USERS.len()).prop_map(|(whom, session, user)| Step::Revoke(whom, session, user)),
        2 => (0..USERS.len()).prop_map(Step::List),
        // the grace of a secret, the news of an eviction, an idle timeout, an absolute lifetime
        2 => prop::sample::select(&[1, 31, 301, 1801, 50_000]).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

fn target(whom: Whom, presented: &Credentials, user: usize) -> Target {
    let user = UserId::try_from(USERS[user]).unwrap();
    match whom {
        Whom::One => Target::SessionOf(user, presented.id),
        Whom::Others => Target::OthersOf(user, presented.id),
        Whom::All => Target::AllOf(user),
    }
}

async fn lives(memory: &Memory, terms: &Terms, tokens: &[Credentials]) -> bool {
    for presented in tokens {
        if memory.load(presented, terms).await.unwrap().live().is_some() {
            return true;
        }
    }
    false
}

/// Everything that anybody can see.
async fn seen(store: &impl Store, terms: &Terms, sessions: &[[Credentials; 3]]) -> String {
    let mut seen = String::new();
    for presented in sessions.iter().flatten() {
        seen += &format!("{:?}\n", store.load(presented, terms).await.unwrap());
    }
    for user in USERS {
        let user = UserId::try_from(user).unwrap();
        seen += &format!("{:?}\n", store.list(&user, Page::default(), terms).await.unwrap());
    }
    seen
}

#[test]
fn random_programs_do_the_same_on_disk_and_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let terms = Terms { max_fields: 3, max_bytes: 64, ..Terms::default() };
    let (steps, restarts) = (Cell::new(0), Cell::new(0));

    // some 28,000 steps
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(any_step(), 1..140), |program| {
        let path = tempfile::tempdir_in(dir.path()).unwrap();
        let clock = Clock::manual(SystemTime::now());
        let memory = Memory::with_clock(clock.clone());
        // small parts, so that the journal is shortened, too
        let open = || Embedded::builder(path.path()).clock(clock.clone()).part_bytes(2_000).open().unwrap();
        let mut disk = Some(open());
        let mut sessions: [_; SESSIONS] = std::array::from_fn(|_| secrets());
        let mut made = [false; SESSIONS];
        runtime.block_on(async {
            for step in &program {
                let store = disk.as_ref().unwrap();
                steps.set(steps.get() + 1);
                match step {
                    Step::Verb(session, secret, verb) => {
                        let tokens = &mut sessions[*session];
                        // an id is never used again: how long a store remembers one that has ended is its own affair
                        if matches!(**verb, Verb::Create { .. })
                            && made[*session]
                            && !lives(&memory, &terms, tokens).await
                        {
                            *tokens = secrets();
                        }
                        made[*session] |= matches!(**verb, Verb::Create { .. });
                        let expected = run(&memory, &terms, tokens, *secret, verb, Times::Same).await;
                        let answer = run(store, &terms, tokens, *secret, verb, Times::Same).await;
                        prop_assert_eq!(answer, expected, "{:?}", verb);
                    }
                    Step::SignOut(session, secret) => {
                        let presented = &sessions[*session][*secret];
                        let expected = memory.sign_out(presented).await.unwrap();
                        prop_assert_eq!(store.sign_out(presented).await.unwrap(), expected);
                    }
                    Step::Revoke(whom, session, user) => {
                        let target = target(*whom, &sessions[*session][0], *user);
                        let expected = memory.revoke(&target).await.unwrap();
                        prop_assert_eq!(store.revoke(&target).await.unwrap(), expected, "{:?}", target);
                    }
                    Step::List(user) => {
                        let user = UserId::try_from(USERS[*user]).unwrap();
                        let page = Page { offset: 0, limit: 1 };
                        let expected = memory.list(&user, page, &terms).await.unwrap();
                        prop_assert_eq!(store.list(&user, page, &terms).await.unwrap(), expected);
                    }
                    Step::Wait(secs) => {
                        clock.advance(Duration::from_secs(*secs));
                    }
                    Step::Restart => {
                        restarts.set(restarts.get() + 1);
                        drop(disk.take()); // the lock must be free before it is opened again
                        disk = Some(open());
                    }
                }
                prop_assert_eq!(
                    seen(disk.as_ref().unwrap(), &terms, &sessions).await,
                    seen(&memory, &terms, &sessions).await,
                    "after {:?}",
                    step
                );
            }
            Ok(())
        })
    });
    println!("{} steps, {} restarts", steps.get(), restarts.get());
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(steps.get() > 20_000 && restarts.get() > 100, "{} steps, {} restarts", steps.get(), restarts.get());
}
