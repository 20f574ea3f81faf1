//! A server: reads the session that it is told through its near cache, again and again, until it is refused.

use std::io::{Write as _, stdin, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cloakroom::store::{Lookup, NearCache, Redis, Store as _};
use cloakroom::{Error, store::Terms};

use super::told::Told;
use super::{REVOKED, monotonic, presented};

/// Between two reads. Without it, four servers that only read would keep two processors from everything else.
const PAUSE: Duration = Duration::from_micros(50);
/// A session that is read longer than this is lost: many times the promise's worst case, a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers each number on standard input twice: with `ready` once the session is in the near cache, and with what happened.
pub fn watch(redis: &str) -> Result<()> {
    // the near cache's own tasks have a thread that no read holds up
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = runtime.block_on(Redis::builder(redis).near_cache(NearCache::default()).connect())?;
    let terms = Terms::default();
    for line in stdin().lines() {
        let session = presented(REVOKED, line?.parse()?);
        let read = || match runtime.block_on(store.load(&session, &terms)) {
            Ok(lookup) => Ok(matches!(lookup, Lookup::Live(_))),
            Err(error) => Err(Error::from(error)),
        };
        ensure!(read()?, "{} is not there", session.id);
        tell(Told::Ready)?;

        let begin = Instant::now();
        let refused = loop {
            match read()? {
                false => break Some(monotonic()),
                true if begin.elapsed() > PATIENCE => break None,
                true => sleep(PAUSE),
            }
        };
        tell(Told::Refused(refused))?;
    }
    Ok(())
}

fn tell(told: Told) -> Result<()> {
    println!("{}", serde_json::to_string(&told)?);
    Ok(stdout().flush()?)
}
