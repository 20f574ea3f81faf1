//! The other traffic: changes of other sessions at a steady rate, until standard input ends.

use std::io::{Read as _, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use cloakroom::store::{Outcome, Redis, Store as _};
use cloakroom::{
    Error,
    store::{Change, FieldChanges, Save, Terms},
};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::told::Told;
use super::{WRITTEN, WRITTEN_SESSIONS, presented};

/// How many wait for an answer at the same time.
const VISITORS: u32 = 64;

#[tokio::main]
pub async fn write(redis: &str, rate: u32) -> Result<()> {
    let store = Redis::builder(redis).connect().await?;
    let (written, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut visitors = JoinSet::new();
    for visitor in 0..VISITORS {
        let (store, written, over) = (store.clone(), Arc::clone(&written), Arc::clone(&over));
        visitors.spawn(async move { visit(visitor, rate, &store, &written, &over).await });
    }
    tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new())).await??;
    over.store(true, Ordering::Relaxed);
    while let Some(visitor) = visitors.join_next().await {
        visitor??;
    }
    println!("{}", serde_json::to_string(&Told::Written(written.load(Ordering::Relaxed)))?);
    Ok(())
}

/// One of the visitors: a change of the next session at each tick. What is late is made up for.
async fn visit(first: u32, rate: u32, store: &Redis, written: &AtomicU64, over: &AtomicBool) -> Result<()> {
    let mut ticks = interval(Duration::from_secs_f64(f64::from(VISITORS) / f64::from(rate)));
    let mut session = first;
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let fields = FieldChanges { add: [("page_views".to_owned(), 1)].into(), ..FieldChanges::default() };
        let change = Change::from(Save { fields, ..Save::default() });
        match store.apply(&presented(WRITTEN, session), &change, &Terms::default()).await.map_err(Error::from)? {
            Outcome::Done { .. } => written.fetch_add(1, Ordering::Relaxed),
            Outcome::Refused(refusal) => bail!("a change was refused: {refusal:?}"),
        };
        session = (session + VISITORS) % WRITTEN_SESSIONS;
    }
    Ok(())
}
