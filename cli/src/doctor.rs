//! `cloakroom doctor`: checks a Redis for what operators often get wrong, and says what to do about it.
//!
//! It should run as the application's own user, because half of the checks are about what that user may do. It changes nothing,
//! except with `--repair`.

mod access;
mod answers;
mod configuration;
mod eviction;
mod finding;
mod indexes;
mod keeping;
mod probe;
mod records;
mod repair;
mod sample;
mod server;
mod timing;

use clap::Args;
use cloakroom::store::Redis;
use serde_json::json;

use self::finding::{Finding, Level};
use self::sample::Sample;
use self::server::Server;
use crate::failure::Failure;
use crate::looking::LookFlags;
use crate::opened::Opened;
use crate::place::Place;
use crate::printable::printable;
use crate::survey;
use crate::terminal::{self, BAD, DOUBTFUL, FAINT, GOOD, line, painted};

#[derive(Args)]
pub(crate) struct Flags {
    /// How many sessions to look at, and how many indexes of users
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,

    /// Look at all sessions and indexes
    #[arg(long, conflicts_with = "sample")]
    full: bool,

    /// Remove the entries of ended sessions from the users' indexes, and nothing else. This looks at all keys
    #[arg(long, conflicts_with = "sample")]
    repair: bool,

    /// Do not ask for confirmation before --repair
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    look: LookFlags,
}

/// Makes all checks, and says what they found.
///
/// # Errors
/// Returns a silent error if something is bad. Returns an error if the store is not available, or if a repair is not confirmed.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let opened = Opened::redis(&flags.look.store).await?;
    let mut report = Report { json: flags.look.answer.json, findings: Vec::new() };
    let servers = look_at_servers(&flags, &opened, &mut report).await?;
    let sample = look_at_keys(&flags, &opened, &servers, &mut report).await?;
    let repaired = if flags.repair { repair::confirmed(&opened, sample.as_ref(), flags.yes).await } else { Ok(None) };
    if let Ok(Some(finding)) = &repaired {
        report.add(finding.clone())?;
    }
    report.end()?;
    match repaired {
        Err(failure) => Err(failure),
        Ok(_) if report.count(Level::Bad) > 0 => Err(Failure::silent(1)),
        Ok(_) => Ok(()),
    }
}

/// Checks what each server says about itself.
async fn look_at_servers(flags: &Flags, opened: &Opened<Redis>, report: &mut Report) -> Result<Vec<Server>, Failure> {
    let mut servers = Vec::new();
    let Place::Redis(reach) = flags.look.store.place()? else { return Ok(servers) };
    for name in opened.store.servers() {
        match Server::ask(&opened.store, &name, reach.user.as_deref()).await {
            Ok(server) => servers.push(server),
            Err(error) => {
                let silent = Finding::bad("server", format!("the server does not answer: {error}"))
                    .advice("find out why it is not available");
                report.add(silent.on(&name))?;
            }
        }
    }
    report.across(&servers, server::version)?;
    // the other checks are not for sentinels
    servers.retain(|server| !server.is_sentinel());
    report.across(&servers, server::cluster)?;
    report.add(access::encryption(&reach, &opened.store.servers()))?;
    report.across(&servers, |server| access::acl(server, opened.store.prefix()))?;
    report.across(&servers, |server| access::commands(server, opened.store.prefix()))?;
    report.across(&servers, eviction::policy)?;
    report.across(&servers, keeping::persistence)?;
    report.across(&servers, keeping::replication)?;
    report.across(&servers, |server| timing::latency(server, flags.look.store.redis.timeout()))?;
    report.across(&servers, timing::clock)?;
    report.across(&servers, |server| timing::timeouts(server, flags.look.store.redis.timeout()))?;
    Ok(servers)
}

/// Checks the keys. Returns `None` if this user may not list them.
async fn look_at_keys(
    flags: &Flags,
    opened: &Opened<Redis>,
    servers: &[Server],
    report: &mut Report,
) -> Result<Option<Sample>, Failure> {
    let most = if flags.full || flags.repair { None } else { Some(flags.sample as usize) };
    let bar = survey::bar(&opened.store).await;
    let sample = Sample::take(opened, &flags.look.scan, most, &bar).await;
    bar.finish_and_clear();
    let sample = match sample {
        Ok(Some(sample)) => sample,
        Ok(None) => {
            report.add(Finding::skipped("keys", "SCAN"))?;
            return Ok(None);
        }
        Err(failure) => {
            report.add(Finding::bad("keys", format!("the keys cannot be looked at: {failure}")))?;
            return Ok(None);
        }
    };
    report.add(records::looked_at(&sample))?;
    report.add(records::expiry(&sample))?;
    report.add(records::encoding(&sample, servers))?;
    report.add(records::memory(&sample))?;
    if let Some(file) = &flags.look.store.redis.config {
        for finding in configuration::compared(&sample, file.settings()) {
            report.add(finding)?;
        }
    }
    if !opened.plain_tokens {
        report.add(indexes::ghosts(&sample))?;
        report.add(indexes::misses(&sample))?;
    }
    Ok(Some(sample))
}

/// Prints each finding as soon as it is there, or all of them as JSON at the end.
struct Report {
    json: bool,
    findings: Vec<Finding>,
}

impl Report {
    /// Makes one check on every server. Servers with equal findings share a line.
    fn across(&mut self, servers: &[Server], check: impl Fn(&Server) -> Finding) -> Result<(), Failure> {
        finding::merged(servers.iter().map(|server| (server.name.as_str(), check(server))))
            .into_iter()
            .try_for_each(|finding| self.add(finding))
    }

    fn add(&mut self, finding: Finding) -> Result<(), Failure> {
        if !self.json {
            let style = match finding.level {
                Level::Ok => GOOD,
                Level::Warn => DOUBTFUL,
                Level::Bad => BAD,
                Level::Skip => FAINT,
            };
            let level = painted(style, format_args!("{:<4}", finding.level.name()));
            let servers = finding.servers.iter().map(|name| format!("[{}] ", printable(name))).collect::<String>();
            let advice = finding.advice.as_ref().map(|advice| format!(" → {}", printable(advice))).unwrap_or_default();
            line(format_args!("{level}  {:<12}  {servers}{}{advice}", finding.check, printable(&finding.text)))?;
        }
        self.findings.push(finding);
        Ok(())
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    fn end(&self) -> Result<(), Failure> {
        let [ok, warn, bad, skipped] = [Level::Ok, Level::Warn, Level::Bad, Level::Skip].map(|level| self.count(level));
        if self.json {
            let summary = json!({ "ok": ok, "warn": warn, "bad": bad, "skip": skipped });
            return terminal::json(&json!({ "findings": self.findings, "summary": summary }));
        }
        let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        line(format_args!("\n{bad} bad, {warn} warnings, {ok} ok{skipped}"))
    }
}
