//! Looks at all sessions, in parts and never faster than was asked for, with a progress bar.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use cloakroom::SessionId;
use cloakroom::store::{Loaded, Redis};
use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::kept::Kept;
use crate::opened::Opened;
use crate::pace::{Pace, ScanFlags};

/// How many sessions are asked for at once.
const FLIGHT: usize = 100;

/// One look at all sessions. Each session that is live during the whole look is found once.
pub(crate) struct Survey<'a> {
    opened: &'a Opened,
    pace: Pace,
    seen: HashSet<SessionId>,
    /// Where the store continues. It has not named all sessions yet.
    cursor: Option<String>,
    is_named: bool,
    /// Sessions that the store has named and that were not looked at yet.
    ahead: VecDeque<SessionId>,
    /// How many sessions of the other token format were skipped.
    others: u64,
    bar: ProgressBar,
}

/// A live session.
pub(crate) struct Found {
    pub(crate) id: SessionId,
    pub(crate) loaded: Loaded,
}

impl Found {
    /// Returns how long the session lives without another request.
    pub(crate) fn remaining(&self) -> Duration {
        self.loaded.record.ends_at().duration_since(self.loaded.now).unwrap_or_default()
    }

    pub(crate) fn age(&self) -> Duration {
        self.loaded.now.duration_since(self.loaded.record.created_at).unwrap_or_default()
    }
}

impl<'a> Survey<'a> {
    /// Begins a look with a progress bar on stderr, if that is a terminal.
    pub(crate) async fn with_bar(opened: &'a Opened, flags: &ScanFlags) -> Survey<'a> {
        let bar = match &opened.store {
            Kept::Redis(redis) => bar(redis).await,
            // these stores name all sessions in one step, so the bar counts sessions
            _ => styled(ProgressBar::new(0), "sessions"),
        };
        Survey { bar, ..Survey::quiet(opened, flags) }
    }

    pub(crate) fn quiet(opened: &'a Opened, flags: &ScanFlags) -> Survey<'a> {
        Survey {
            opened,
            pace: Pace::new(flags),
            seen: HashSet::new(),
            cursor: None,
            is_named: false,
            ahead: VecDeque::new(),
            others: 0,
            bar: ProgressBar::hidden(),
        }
    }

    /// Returns the ids of the next part, which may be empty, or `None` after the last part.
    pub(crate) async fn ids(&mut self) -> Result<Option<Vec<SessionId>>, Failure> {
        if self.ahead.is_empty() {
            if self.is_named {
                self.finish();
                return Ok(None);
            }
            // this keeps to the rate by itself
            self.look_ahead().await?;
        } else {
            self.pace.wait(self.ahead.len().min(self.pace.step())).await;
        }
        let part = self.ahead.len().min(self.pace.step());
        if !matches!(self.opened.store, Kept::Redis(_)) {
            self.bar.inc(part as u64);
        }
        Ok(Some(self.ahead.drain(..part).collect()))
    }

    async fn look_ahead(&mut self) -> Result<(), Failure> {
        let part = self.pace.scan(&self.opened.store, self.cursor.as_deref()).await?;
        self.is_named = part.next.is_none();
        self.cursor = part.next;
        match self.opened.store {
            Kept::Redis(_) => self.bar.inc(self.pace.step() as u64),
            _ => self.bar.set_length(part.ids.len() as u64),
        }
        let all = part.ids.len();
        let mut ids = part.ids;
        ids.retain(|id| self.opened.is_ours(id));
        self.others += (all - ids.len()) as u64;
        self.ahead.extend(ids.into_iter().filter(|id| self.seen.insert(*id)));
        Ok(())
    }

    /// Returns the sessions of the next part, which may be empty, or `None` after the last part.
    pub(crate) async fn part(&mut self) -> Result<Option<Vec<Found>>, Failure> {
        let Some(ids) = self.ids().await? else {
            return Ok(None);
        };
        let mut part = Vec::with_capacity(ids.len());
        for flight in ids.chunks(FLIGHT) {
            let loaded = try_join_all(flight.iter().map(|id| self.opened.find(id))).await?;
            let found = flight.iter().zip(loaded).filter_map(|(id, loaded)| Some(Found { id: *id, loaded: loaded? }));
            part.extend(found);
        }
        Ok(Some(part))
    }

    /// Removes the progress bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Says if sessions were skipped because they have the other token format.
    pub(crate) fn remark_on_others(&self) {
        if self.others > 0 {
            let with = if self.opened.plain_tokens { "without" } else { "with" };
            let others = crate::terminal::Many(self.others, "session");
            crate::terminal::remark(format_args!(
                "skipped {others} of the other token format: run this again {with} --plain-tokens to see them"
            ));
        }
    }
}

/// Returns a progress bar over all keys of the database, including those of others. It is hidden if stderr is not a terminal.
pub(crate) async fn bar(redis: &Redis) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if bar.is_hidden() {
        return bar;
    }
    let mut total = 0;
    for server in redis.servers() {
        // a user who may not run DBSIZE sees a bar without an end
        total += redis.command(&server, &["DBSIZE"]).await.ok().and_then(|size| size.as_u64()).unwrap_or(0);
    }
    bar.set_length(total);
    styled(bar, "keys")
}

fn styled(bar: ProgressBar, what: &str) -> ProgressBar {
    let template = format!("{{spinner}} [{{bar:40}}] {{human_pos}} of {{human_len}} {what}, {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}
