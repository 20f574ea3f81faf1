//! Random programs of a browser, its streams, and a job that knows the id, beside what is promised.

use cloakroom::{LiveSession, Result};

use crate::support::Numbers;
use crate::{COUNT, Visitor, World};

const STEPS: usize = 40;

/// A handle, and what is promised of it.
struct Handle {
    live: LiveSession,
    /// Which of the browser's sessions it holds.
    session: usize,
    /// How often the secret was replaced since the handle has last seen it. A job needs none.
    missed: Option<usize>,
    /// Somebody has signed in, or the session was elevated.
    is_worthless: bool,
}

/// What the browser has done so far.
#[derive(Default)]
struct Promised {
    /// The number of the session that lives, of those that the browser has had.
    lives: Option<usize>,
    sessions: usize,
    count: i64,
    handles: Vec<Handle>,
}

impl Promised {
    fn goes_on(&self, handle: usize) -> bool {
        let Handle { session, missed, is_worthless, .. } = &self.handles[handle];
        self.lives == Some(*session) && missed.is_none_or(|missed| !is_worthless && missed <= 1)
    }

    /// Notes that the current session has a new secret, and whether the one before is worthless.
    fn replaced(&mut self, is_worthless: bool) {
        let lives = self.lives;
        for handle in self.handles.iter_mut().filter(|handle| Some(handle.session) == lives) {
            handle.is_worthless |= is_worthless;
            handle.missed = handle.missed.map(|missed| missed + 1);
        }
    }

    fn begun(&mut self) {
        if self.lives.is_none() {
            (self.lives, self.count) = (Some(self.sessions), 0);
            self.sessions += 1;
        }
    }

    /// Compares what a handle was answered.
    fn check<T>(&mut self, handle: usize, answer: Result<T>, story: &[String]) -> Option<T> {
        let goes_on = self.goes_on(handle);
        match answer {
            Ok(answer) => {
                assert!(goes_on, "{story:#?} must not go on");
                let missed = &mut self.handles[handle].missed;
                *missed = missed.map(|_| 0);
                Some(answer)
            }
            Err(error) => {
                assert!(error.is_gone() && !goes_on, "{story:#?} {error}");
                None
            }
        }
    }
}

async fn run(world: &World, seed: u64) {
    let visitor = world.visitor();
    let mut numbers = Numbers(seed);
    let mut promised = Promised::default();
    let mut story = vec![format!("{}, seed {seed}", world.name)];
    for _ in 0..STEPS {
        let paths = ["/count", "/rotate", "/elevate", "/sign_in", "/sign_out", "/stream", "/stream"];
        let step = numbers.below(paths.len() + 9);
        if let Some(path) = paths.get(step) {
            story.push(format!("the browser asks for {path}"));
            ask(world, &visitor, path, &mut promised).await;
        } else if !promised.handles.is_empty() {
            let handle = numbers.below(promised.handles.len());
            use_handle(handle, step - paths.len(), &mut promised, &mut story).await;
        }
        let shown = visitor.elsewhere.visit("/show").await.body;
        let expected = promised.lives.map_or(0, |_| promised.count);
        assert_eq!(shown, format!("\"\" {expected}"), "{story:#?}");
    }
}

async fn ask(world: &World, visitor: &Visitor, path: &str, promised: &mut Promised) {
    match (path, promised.lives) {
        ("/stream", None) => {}
        ("/stream", Some(session)) => {
            let live = visitor.stream().await;
            let job = world.here.find(&live.id()).await.unwrap().expect("it lives");
            for (live, missed) in [(live, Some(0)), (job, None)] {
                promised.handles.push(Handle { live, session, missed, is_worthless: false });
            }
        }
        // who had a session may be told that it has ended
        ("/elevate" | "/rotate" | "/sign_out", None) => drop(visitor.elsewhere.get(path).await),
        _ => {
            visitor.elsewhere.visit(path).await;
            match path {
                "/count" => {
                    promised.begun();
                    promised.count += 1;
                }
                "/sign_out" => promised.lives = None,
                "/sign_in" => {
                    promised.begun();
                    promised.replaced(true);
                }
                path => promised.replaced(path == "/elevate"),
            }
        }
    }
}

async fn use_handle(handle: usize, how: usize, promised: &mut Promised, story: &mut Vec<String>) {
    let live = promised.handles[handle].live.clone();
    story.push(format!("handle {handle} does {how}"));
    match how {
        0..4 => {
            let answer = live.increment(COUNT, 1).await;
            if let Some(count) = promised.check(handle, answer, story) {
                promised.count += 1;
                assert_eq!(count, promised.count, "{story:#?}");
            }
        }
        4 | 5 => {
            let answer = live.update(COUNT, |count| *count += 10).await;
            if promised.check(handle, answer, story).is_some() {
                promised.count += 10;
            }
        }
        6 => drop(promised.check(handle, live.touch().await, story)),
        7 => {
            let is_live = live.is_live().await.unwrap();
            assert_eq!(is_live, promised.goes_on(handle), "{story:#?}");
            let missed = &mut promised.handles[handle].missed;
            *missed = missed.map(|missed| if is_live { 0 } else { missed });
        }
        _ => match live.end().await {
            Ok(ended) => {
                assert_eq!(ended, promised.goes_on(handle), "{story:#?}");
                if ended {
                    promised.lives = None;
                }
            }
            Err(error) => {
                let lives_on = promised.lives == Some(promised.handles[handle].session);
                assert!(error.is_gone() && lives_on && !promised.goes_on(handle), "{story:#?} {error}");
            }
        },
    }
}

#[tokio::test]
async fn streams_and_jobs_do_what_is_promised_in_random_programs() {
    for (world, programs) in [
        (World::in_memory(), 150),
        (World::embedded(), 50),
        (World::redis(false).await, 30),
        (World::redis(true).await, 30),
    ] {
        for seed in 0..programs {
            run(&world, seed).await;
        }
        if let Some(server) = &world.server {
            assert_eq!(server.immortal_keys(), [""; 0]);
        }
    }
}
