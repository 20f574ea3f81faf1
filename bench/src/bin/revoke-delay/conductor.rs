//! Begins sessions, has every server keep them near, ends them, and asks when each server noticed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cloakroom_bench::RedisServer;
use cloakroom::store::{NewSession, Outcome, Redis, Store as _, Target};
use cloakroom::{
    Error, SessionId,
    store::{Fields, Terms},
};

use super::report::Report;
use super::told::Told;
use super::{Flags, REVOKED, WRITTEN, WRITTEN_SESSIONS, monotonic, presented};

/// So long all servers read a session before it is revoked: enough for many reads.
const WARM: Duration = Duration::from_millis(3);

#[tokio::main]
pub async fn conduct(flags: &Flags) -> Result<Report> {
    let mut redis = RedisServer::start()?;
    let store = Redis::builder(redis.url()).connect().await?;
    for number in 0..WRITTEN_SESSIONS {
        begin(&store, WRITTEN, number).await?;
    }
    let mut servers = Vec::new();
    for _ in 0..flags.servers {
        servers.push(Process::start(&["watch", &redis.url()])?);
    }
    check_near(&store, &mut servers, &mut redis).await?;
    let rate = flags.writes.to_string();
    let writer = match flags.writes {
        0 => None,
        _ => Some(Process::start(&["write", &redis.url(), &rate])?),
    };
    let begun = Instant::now();
    let mut report = Report::new(flags, redis.version()?);
    // the session with number 0 was for the check
    for number in 1..=flags.revokes {
        let (acknowledged, refused) = revoke(&store, &mut servers, number).await?;
        report.add(acknowledged, &refused);
    }
    if let Some(writer) = writer {
        let took = begun.elapsed();
        report.writes_per_second = writer.finish()? as f64 / took.as_secs_f64();
    }
    report.compute();
    Ok(report)
}

/// Figures of servers that ask Redis each time would be about something else.
async fn check_near(store: &Redis, servers: &mut [Process], redis: &mut RedisServer) -> Result<()> {
    let session = begin(store, REVOKED, 0).await?;
    make_ready(servers, 0)?;
    let asked = redis.calls_of("hgetall")?;
    sleep(10 * WARM);
    ensure!(redis.calls_of("hgetall")? == asked, "the servers ask Redis for a session that they should have near");
    end(store, servers, session).await?;
    Ok(())
}

async fn revoke(store: &Redis, servers: &mut [Process], number: u32) -> Result<(i64, Vec<Option<i64>>)> {
    let session = begin(store, REVOKED, number).await?;
    make_ready(servers, number)?;
    sleep(WARM);
    end(store, servers, session).await
}

fn make_ready(servers: &mut [Process], number: u32) -> Result<()> {
    for server in servers.iter_mut() {
        server.tell(number)?;
    }
    for server in servers.iter_mut() {
        ensure!(matches!(server.hear()?, Told::Ready), "a server did not get ready");
    }
    Ok(())
}

/// When the revoke was acknowledged, and when each server refused.
async fn end(store: &Redis, servers: &mut [Process], session: SessionId) -> Result<(i64, Vec<Option<i64>>)> {
    let ended = store.revoke(&Target::Session(session)).await.map_err(Error::from)?;
    ensure!(ended == 1, "{session} had ended before it was revoked");
    let acknowledged = monotonic();
    let refused = servers.iter_mut().map(|server| match server.hear()? {
        Told::Refused(refused) => Ok(refused),
        other => bail!("a server said {other:?}"),
    });
    Ok((acknowledged, refused.collect::<Result<_>>()?))
}

async fn begin(store: &Redis, group: char, number: u32) -> Result<SessionId> {
    let presented = presented(group, number);
    let fields = Fields::from([
        ("username".to_owned(), format!("visitor-{number:05}")),
        ("page_views".to_owned(), "1".to_owned()),
        ("last_page".to_owned(), "/shop/outdoor/shoes/boots?colour=brown&sort=price".to_owned()),
    ]);
    let new = NewSession { presented, fields, idle_timeout: None, own_deadline: None };
    match store.create(&new, &Terms::default()).await.map_err(Error::from)? {
        Outcome::Done { .. } => Ok(presented.id),
        Outcome::Refused(refusal) => bail!("a session was refused: {refusal:?}"),
    }
}

/// This program again, in another role.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &[&str]) -> Result<Process> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting this program as {}", role[0]))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        Ok(Process { child, input, output: BufReader::new(output) })
    }

    fn tell(&mut self, number: u32) -> Result<()> {
        let input = self.input.as_mut().expect("it is open until the end");
        Ok(writeln!(input, "{number}")?)
    }

    fn hear(&mut self) -> Result<Told> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "a process ended before its time");
        Ok(serde_json::from_str(&line)?)
    }

    /// Ends the writer, and has how much it wrote.
    fn finish(mut self) -> Result<u64> {
        self.input = None;
        match self.hear()? {
            Told::Written(writes) => Ok(writes),
            other => bail!("the writer said {other:?}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // one that has ended already needs no end
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
