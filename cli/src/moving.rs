//! `cloakroom move`: all sessions from one store to another, so that every browser is still signed in.

use clap::Args;
use cloakroom::SessionId;
use cloakroom::store::Target;
use cloakroom::store::operate::{Save as _, Saved};
use url::Url;

use crate::failure::Failure;
use crate::fill::{Are, FLIGHT, Filled, LifetimeFlags, Others};
use crate::kept::Kept;
use crate::opened::Opened;
use crate::pace::ScanFlags;
use crate::place::Place;
use crate::redis_flags::{RedisFlags, parsed};
use crate::survey::Survey;
use crate::terminal::{self, AnswerFlags, Many};

/// The source is not changed. If the program is stopped half-way, run it again. To move sessions between two Redis with different
/// passwords or prefixes, use cloakroom export | cloakroom import.
#[derive(Args)]
pub(crate) struct Flags {
    /// Where the sessions are: a directory, or the URL of a Redis or Valkey. Repeat the flag for other nodes of a cluster, or other
    /// sentinels
    #[arg(long, value_name = "PLACE", required = true)]
    from: Vec<String>,

    /// Where the sessions are to be copied: a directory or a URL, as for --from
    #[arg(long, value_name = "PLACE", required = true)]
    to: Vec<String>,

    /// Make the target equal to the source: end the sessions that the source does not have, and copy again those that have changed
    /// there. Use it for the last run, after the application has stopped
    #[arg(long)]
    mirror: bool,

    /// Keep the sessions that only the target has
    #[arg(long, conflicts_with = "mirror")]
    merge: bool,

    /// Only count the sessions that would be copied
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    answer: AnswerFlags,
    #[command(flatten)]
    lifetime: LifetimeFlags,
    #[command(flatten)]
    scan: ScanFlags,
    #[command(flatten)]
    redis: RedisFlags,
}

/// Moves the sessions.
///
/// # Errors
/// Returns an error if a store is not available, or if the target has other sessions and no flag says what to do with them.
pub(crate) async fn run(mut flags: Flags) -> Result<(), Failure> {
    flags.redis.be_patient();
    let (from, to) = (place(&flags, "--from", &flags.from)?, place(&flags, "--to", &flags.to)?);
    check_different(&from, &to)?;
    let from = flags.lifetime.applied_to(Opened::to_move(&from, &flags.redis, flags.dry_run).await?);
    let to = flags.lifetime.applied_to(Opened::to_fill(&to, &flags.redis, flags.dry_run).await?);
    Moving { flags: &flags, from: &from, to: &to, moved: Moved::default() }.run().await
}

/// Returns the place that a flag names: URLs of servers, or one directory.
fn place(flags: &Flags, flag: &str, texts: &[String]) -> Result<Place, Failure> {
    let are_urls: Vec<_> = texts.iter().map(|text| text.contains("://")).collect();
    match (&are_urls[..], texts) {
        ([false], [path]) => Ok(Place::Embedded(path.into())),
        _ if are_urls.iter().all(|is_url| *is_url) => {
            let urls: Vec<Url> = texts.iter().map(|url| parsed(flag, url)).collect::<Result<_, _>>()?;
            flags.redis.reach(urls, Some(flag)).map(Place::Redis)
        }
        _ => Err(Failure::usage(format!(
            "{flag} must be one directory, or one or more URLs of the servers of one Redis"
        ))),
    }
}

fn check_different(from: &Place, to: &Place) -> Result<(), Failure> {
    let are_same = match (from, to) {
        (Place::Embedded(from), Place::Embedded(to)) => match (from.canonicalize(), to.canonicalize()) {
            (Ok(from), Ok(to)) => from == to,
            _ => from == to,
        },
        (Place::Redis(from), Place::Redis(to)) => from.urls == to.urls,
        _ => false,
    };
    if are_same { Err(Failure::usage("--from and --to are the same place: name two different ones")) } else { Ok(()) }
}

/// What has been done.
#[derive(Default)]
struct Moved {
    filled: Filled,
    /// Ended at the target, because the source does not have them any more.
    followed: u64,
    /// At the target and not at the source, before anything was moved.
    only_at_target: u64,
}

struct Moving<'a> {
    flags: &'a Flags,
    from: &'a Opened,
    to: &'a Opened,
    moved: Moved,
}

impl Moving<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        self.look_for_others(self.to).await?;
        self.all().await.map_err(|failure| failure.after(self.in_words()))?;
        self.answer()?;
        let way_out =
            if self.flags.mirror { ", because they were used there later" } else { ". Replace them with --mirror" };
        self.moved.filled.complaint(way_out).map_or(Ok(()), Err)
    }

    /// Looks for sessions that only the target has. Either an earlier run has copied them and they have ended at the source since, or
    /// they belong to the target.
    async fn look_for_others(&mut self, to: &Opened) -> Result<(), Failure> {
        let mut others: Vec<SessionId> = Vec::new();
        let mut survey = Survey::quiet(to, &self.flags.scan);
        while let Some(ids) = survey.ids().await? {
            let at_source = self.from.store.save(&ids, &self.from.terms).await?;
            let unknown = ids.iter().zip(at_source).filter(|(_, saved)| saved.is_none()).map(|(id, _)| *id);
            let unknown: Vec<_> = unknown.collect();
            let live = to.store.save(&unknown, &to.terms).await?;
            others.extend(live.into_iter().flatten().map(|saved| saved.id));
        }
        self.moved.only_at_target = others.len() as u64;
        if others.is_empty() || self.flags.merge || self.flags.dry_run {
            return Ok(());
        }
        if !self.flags.mirror {
            return Err(Failure::failed(format!(
                "nothing was moved, because {} only at the target, such as {}. If an earlier run has copied them and they have \
                 ended at the source since, end them with --mirror. If they belong to the target, keep them with --merge",
                Are(others.len() as u64),
                others[0]
            )));
        }
        for id in others {
            self.moved.followed += to.store.revoke(&Target::Session(id)).await?;
        }
        Ok(())
    }

    async fn all(&mut self) -> Result<(), Failure> {
        let others = if self.flags.mirror { Others::Replaced } else { Others::Kept };
        let mut survey = Survey::with_bar(self.from, &self.flags.scan).await;
        let mut all: Vec<SessionId> = Vec::new();
        while let Some(ids) = survey.ids().await? {
            let sessions: Vec<Saved> =
                self.from.store.save(&ids, &self.from.terms).await?.into_iter().flatten().collect();
            self.moved.filled.put(self.to, sessions, others, self.flags.dry_run).await?;
            self.follow(self.to, &ids).await?;
            all.extend(ids);
        }
        survey.finish();
        survey.remark_on_others();
        // sessions that were moved first may have ended while the last ones were moved
        for ids in all.chunks(FLIGHT) {
            self.follow(self.to, ids).await?;
        }
        Ok(())
    }

    /// Looks at the source again, and ends at the target the sessions that have ended at the source meanwhile. A session is written to
    /// the target before this look. So if it ends at the source, either this look or the next run sees it.
    async fn follow(&mut self, to: &Opened, ids: &[SessionId]) -> Result<(), Failure> {
        // no other process can change a directory that this one has locked
        if self.flags.dry_run || matches!(self.from.store, Kept::Stopped(_)) {
            return Ok(());
        }
        let at_source = self.from.store.save(ids, &self.from.terms).await?;
        for (id, _) in ids.iter().zip(at_source).filter(|(_, saved)| saved.is_none()) {
            self.moved.followed += to.store.revoke(&Target::Session(*id)).await?;
        }
        Ok(())
    }

    fn answer(&self) -> Result<(), Failure> {
        if !self.flags.answer.json {
            return terminal::line(self.in_words());
        }
        let mut json = self.moved.filled.as_json();
        json["ended_at_target"] = self.moved.followed.into();
        json["only_at_target"] = self.moved.only_at_target.into();
        json["dry_run"] = self.flags.dry_run.into();
        terminal::json(&json)
    }

    fn in_words(&self) -> String {
        let Moved { filled, followed, only_at_target } = &self.moved;
        let did = if self.flags.dry_run { "would move" } else { "moved" };
        let followed = match followed {
            0 => String::new(),
            ended => {
                format!("; ended {} at the target that the source does not have any more", Many(*ended, "session"))
            }
        };
        let others = match only_at_target {
            0 => String::new(),
            _ if self.flags.mirror && !self.flags.dry_run => String::new(),
            others => format!("; {} only at the target", Are(*others)),
        };
        format!("{did} {}{}{followed}{others}", Many(filled.made, "session"), filled.in_words())
    }
}
