//! A question to a server. It holds everything needed to ask it again if the answer was "not here".

use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, Pipeline, RedisResult, Value};

use super::moment::Moment;
use super::scripts::Call;
use super::server_clock::{Sample, ServerClock, Time};
use crate::store::saved::from_micros;

/// One question about one key: one round trip.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    Command(&'a Cmd),
    /// Several commands that are sent together. The answer is a list.
    Flight(&'a Pipeline),
    /// Commands that only read, and are sent together. The answer is a list, and comes with the server's time.
    Read {
        flight: &'a Pipeline,
        /// Whether the server is asked for its time even if it can be reckoned.
        asks_time: bool,
    },
    Script(&'a Call<'a>),
}

/// Commands that only read.
const READS: &[&[u8]] = &[
    b"EXISTS",
    b"GET",
    b"HGET",
    b"HGETALL",
    b"HLEN",
    b"HMGET",
    b"INFO",
    b"PTTL",
    b"SCAN",
    b"TIME",
    b"TTL",
    b"TYPE",
    b"ZCARD",
    b"ZCOUNT",
    b"ZRANGE",
    b"ZRANGEBYSCORE",
    b"ZREVRANGE",
    b"ZREVRANGEBYSCORE",
    b"ZSCORE",
];

impl Question<'_> {
    /// Returns true if the question may be asked twice, because all its commands are known to read only. A script is never
    /// known to read only, whatever it does.
    pub(super) fn changes_nothing(self) -> bool {
        let reads = |command: &Cmd| {
            let name = command.args_iter().next();
            matches!(name, Some(Arg::Simple(name)) if READS.contains(&name.to_ascii_uppercase().as_slice()))
        };
        match self {
            Question::Command(command) => reads(command),
            Question::Flight(flight) | Question::Read { flight, .. } => flight.cmd_iter().all(reads),
            Question::Script(_) => false,
        }
    }

    /// Asks the question. A read is answered with the server's time, which is asked for only if the clock does not know it.
    pub(super) async fn ask(
        self,
        connection: &mut MultiplexedConnection,
        clock: &ServerClock,
    ) -> RedisResult<(Value, Option<Time>)> {
        let answer = match self {
            Question::Command(command) => command.query_async(connection).await?,
            Question::Flight(flight) => whole(flight.query_async(connection).await?)?,
            Question::Script(script) => script.ask(connection).await?,
            Question::Read { flight, asks_time } => {
                let asked = Moment::now();
                if let Some(sample) = clock.sample(asked).filter(|_| !asks_time) {
                    let answer = whole(flight.query_async(connection).await?)?;
                    return Ok((answer, Some(sample.reckon(Moment::now()))));
                }
                let answer = whole(with_time(flight).query_async(connection).await?)?;
                return timed(answer, asked, clock);
            }
        };
        Ok((answer, None))
    }

    /// Asks a server that is just taking over the key's slot. Such a server answers only the command that comes right after
    /// ASKING, so nobody else may use this connection. A script that the server does not know yet is loaded, and then the server
    /// points to the one that hands the slot over, which points back: so the script is asked for again.
    pub(super) async fn ask_during_migration(
        self,
        connection: &mut MultiplexedConnection,
        clock: &ServerClock,
    ) -> RedisResult<(Value, Option<Time>)> {
        redis::cmd("ASKING").exec_async(connection).await?;
        let asked = Moment::now();
        // in one transaction, because one ASKING is good for one command or one transaction
        match self {
            Question::Flight(flight) => Ok((atomically(flight, connection).await?, None)),
            Question::Read { flight, .. } => timed(atomically(&with_time(flight), connection).await?, asked, clock),
            other => other.ask(connection, clock).await,
        }
    }
}

async fn atomically(flight: &Pipeline, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
    flight.clone().atomic().query_async(connection).await.and_then(whole)
}

/// Returns these commands, with a last one that asks for the server's time.
fn with_time(flight: &Pipeline) -> Pipeline {
    let mut flight = flight.clone();
    flight.cmd("TIME").ignore_errors();
    flight
}

/// Takes the server's time off the answers, and tells it to the clock.
fn timed(answers: Value, asked: Moment, clock: &ServerClock) -> RedisResult<(Value, Option<Time>)> {
    let Value::Array(mut answers) = answers else { return Ok((answers, None)) };
    let (seconds, micros): (u64, u64) = redis::from_redis_value(answers.pop().unwrap_or(Value::Nil))?;
    let sample = Sample::new(from_micros(1_000_000 * seconds + micros), asked, Moment::now());
    clock.note(sample);
    Ok((Value::Array(answers), Some(sample.as_asked())))
}

/// Returns all answers of a flight, or the error if the server refused one of the commands (loading, moved, no permission,
/// ...). An error that says that a key holds another type counts as an answer.
fn whole(answers: Vec<Value>) -> RedisResult<Value> {
    let refused =
        answers.iter().find(|answer| matches!(answer, Value::ServerError(error) if error.code() != "WRONGTYPE"));
    match refused {
        Some(Value::ServerError(error)) => Err(error.clone().into()),
        _ => Ok(Value::Array(answers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_read_may_be_asked_twice() {
        let asks_twice = |name: &str| Question::Command(redis::cmd(name).arg("key")).changes_nothing();
        assert!(["HGETALL", "pttl", "Scan", "ZSCORE"].into_iter().all(asks_twice));
        assert!(!["HSET", "ZREM", "CONFIG", "CLUSTER", "EVALSHA", "HGETDEL", "unheard-of"].into_iter().any(asks_twice));
        let mut flight = redis::pipe();
        flight.hgetall("key").pttl("key").ignore_errors();
        assert!(Question::Flight(&flight).changes_nothing());
        assert!(!Question::Flight(flight.del("key")).changes_nothing());
    }
}
