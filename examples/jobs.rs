//! Sessions without a request: devices that send their token over a transport of their own, and a job that changes sessions by
//! their ids. Run it with `cargo run --example jobs`.

use std::time::Duration;

use cloakroom::{Config, Error, Field, Page, SessionId, Sessions, Token, store::Memory};

const NAME: Field<String> = Field::new("name");
const MEASUREMENTS: Field<i64> = Field::new("measurements");
const MESSAGES: Field<Vec<String>> = Field::new("messages");

/// Pairs a device, which gets the token and keeps it. It has ten minutes between two measurements.
pub(crate) async fn pair(sessions: &Sessions, name: &str) -> Result<(Token, SessionId), Error> {
    let (token, session) = sessions.create().set(NAME, name).idle_timeout(Duration::from_secs(600)).await?;
    Ok((token, session.id()))
}

/// What a device has sent, with its token, over whatever transport. `None` tells it to pair again.
pub(crate) async fn measured(sessions: &Sessions, token: &str) -> Result<Option<i64>, Error> {
    let Some(session) = sessions.find_by_token(token).await? else {
        return Ok(None);
    };
    session.touch().await?; // the device is there, so its session goes on
    Ok(Some(session.increment(MEASUREMENTS, 1).await?))
}

/// What an operator does with one session whose id is in the log: shows it, gives it more time, or ends it.
pub(crate) async fn look(sessions: &Sessions, id: &SessionId) -> Result<String, Error> {
    let Some(session) = sessions.find(id).await? else {
        return Ok(format!("{id} has ended"));
    };
    session.set_idle_timeout(Duration::from_secs(3600)).await?;
    let (name, count) = (session.get(NAME)?.unwrap_or_default(), session.get(MEASUREMENTS)?.unwrap_or_default());
    Ok(format!("{id} is {name}, which has sent {count} measurements and has {:?} left", session.remaining()))
}

/// What a nightly job has to tell a user is shown on the next page, on each of their devices. Returns on how many.
pub(crate) async fn announce(sessions: &Sessions, user: &str, message: &str) -> Result<usize, Error> {
    let mut told = 0;
    for device in sessions.devices(user, Page { offset: 0, limit: 100 }).await? {
        // a session that has ended meanwhile is not brought back
        let Some(session) = sessions.find(&device.id).await? else { continue };
        match session.update(MESSAGES, |messages| messages.push(message.to_owned())).await {
            Ok(()) => told += 1,
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::new(Memory::new(), Config::default());
    let (token, id) = pair(&sessions, "thermometer").await?;
    for _ in 0..3 {
        println!("measurement {:?}", measured(&sessions, token.expose()).await?);
    }
    println!("{}", look(&sessions, &id).await?);
    println!("told on {} devices", announce(&sessions, "ada", "Your export is ready.").await?);
    sessions.revoke(&id).await?;
    println!("{}", look(&sessions, &id).await?);
    Ok(())
}
