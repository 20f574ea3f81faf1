//! A question to a server. It holds everything needed to ask it again if the answer was "not here".

use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, Pipeline, RedisResult, Value};

use super::scripts::Call;

/// One question about one key: one round trip.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    Command(&'a Cmd),
    /// Several commands that are sent together. The answer is a list.
    Flight(&'a Pipeline),
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
            Question::Flight(flight) => flight.cmd_iter().all(reads),
            Question::Script(_) => false,
        }
    }

    pub(super) async fn ask(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Question::Command(command) => command.query_async(connection).await,
            Question::Flight(flight) => whole(flight.query_async(connection).await?),
            Question::Script(script) => script.ask(connection).await,
        }
    }

    /// Asks a server that is just taking over the key's slot. Such a server answers only the command that comes right after
    /// ASKING, so nobody else may use this connection.
    pub(super) async fn ask_during_migration(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        // The first attempt loads a script that the server does not know yet. That attempt also uses up the ASKING.
        for last in [false, true] {
            redis::cmd("ASKING").exec_async(connection).await?;
            let answer = match self {
                // in one transaction, because one ASKING is good for one command or one transaction
                Question::Flight(flight) => flight.clone().atomic().query_async(connection).await.and_then(whole),
                other => other.ask(connection).await,
            };
            match answer {
                Err(error) if !last && error.redirect_node().is_some() => {}
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }
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
