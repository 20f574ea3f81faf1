//! Applications that need no service: they use the library, or ask Redis themselves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::http::Request;
use cloakroom::store::{NearCache, Redis};
use cloakroom::web::Visit;
use cloakroom::{Config, Field, Sessions};

const NAME: Field<String> = Field::new("name");

pub async fn near(url: &str, cookie: &str, questions: usize) -> Result<Vec<Duration>> {
    let store = Redis::builder(url).near_cache(NearCache::default()).connect().await?;
    by_library(&Sessions::new(store, Config::default()), cookie, questions).await
}

pub async fn far(url: &str, cookie: &str, questions: usize) -> Result<Vec<Duration>> {
    by_library(&Sessions::new(Redis::builder(url).connect().await?, Config::default()), cookie, questions).await
}

/// Each question is what the library does for one request that reads its session.
async fn by_library(sessions: &Sessions, cookie: &str, questions: usize) -> Result<Vec<Duration>> {
    let request = Request::get("/").header("cookie", cookie).body(())?;
    let mut times = Vec::with_capacity(questions);
    for number in 0..questions + questions / 10 {
        let begin = Instant::now();
        let ongoing = Visit::begin(sessions, request.method(), request.uri(), request.headers())?;
        let name = ongoing.visit().session().await?.get(NAME)?;
        let finished = ongoing.finish(200).await;
        let took = begin.elapsed();
        ensure!(name.is_some() && finished.is_ok(), "the session was not found");
        // the first answers fill caches
        if number >= questions / 10 {
            times.push(took);
        }
    }
    Ok(times)
}

/// The least that a read of a hash can cost.
pub async fn hgetall(url: &str, cookie: &str, questions: usize) -> Result<Vec<Duration>> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let token = cookie.split_once('=').context("a cookie has a value")?.1;
    let id = token.get(..22).context("a token begins with an id")?;
    let mut times = Vec::with_capacity(questions);
    for _ in 0..questions {
        let begin = Instant::now();
        let fields: HashMap<String, String> =
            redis::cmd("HGETALL").arg(format!("session:{id}")).query_async(&mut connection).await?;
        let took = begin.elapsed();
        ensure!(fields.contains_key("name"), "the session was not found");
        times.push(took);
    }
    Ok(times)
}
