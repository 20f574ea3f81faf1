//! The page: what the demo knows, as a person sees it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use cloakroom::{Device, Error, Session, SessionId};

use crate::demo::absence::{Absence, brings_cookie};
use crate::demo::answer::{Code, Problem, whole_seconds};
use crate::demo::fields::{PAGE_VIEWS, USERNAME};
use crate::demo::form::{DEFAULT_USERNAME, LONGEST_USERNAME, Query};
use crate::demo::look::{Seen, looked_at};
use crate::demo::timeline::{Reader, Told, places};
use crate::demo::{Demo, stranger};
use crate::place::Place;
use crate::times;

/// Short lifetimes to choose from, in seconds: one can wait for each.
const PRESETS: [u64; 4] = [10, 30, 60, 300];

/// `GET /`
pub(crate) async fn show(
    State(demo): State<Arc<Demo>>,
    session: Result<Session, Error>,
    query: Query,
    headers: HeaderMap,
) -> Response {
    let (ticket, absence) = match look(session, &query, &headers, &demo).await {
        Ok(found) => found,
        // what it was is logged and told there; the page has its own words for it
        Err(error) => (Ticket::Closed(Problem::from(error).status), None),
    };
    let asked = query.0.value("error").and_then(Code::parse).filter(|_| !matches!(ticket, Ticket::Closed(_)));
    let status = if let Ticket::Closed(status) = ticket { status } else { StatusCode::OK };
    // whether there was a session is the cookie's to say, and not a link's
    let asked = match (absence, asked) {
        (Some(Absence::NeverCame), Some(Code::Ended | Code::Expired)) => None,
        (Some(Absence::Ended), None | Some(Code::NoSession)) => Some(Code::Ended),
        _ => asked,
    };
    let notice = match absence {
        Some(Absence::SignedInElsewhere) => Some(evicted(&demo)),
        _ => asked.and_then(|code| notice(code, &ticket, demo.limits.longest_ttl)),
    };
    let stamp = match (absence, asked) {
        (Some(Absence::SignedInElsewhere), _) => Some("Ended"),
        (Some(_), Some(Code::Expired)) => Some("Expired"),
        (Some(Absence::Ended), Some(Code::Ended)) => Some("Ended"),
        _ => None,
    };
    let other_site = stranger::url(&headers, &demo.address);
    let page = Page { demo: &demo, ticket, notice, stamp, has_stale_cookie: brings_cookie(&headers), other_site };
    match page.render() {
        Ok(html) if status == StatusCode::OK => Html(html).into_response(),
        Ok(html) => (status, [(header::RETRY_AFTER, "1")], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The ticket for what there is, or why there is none any more.
async fn look(
    session: Result<Session, Error>,
    query: &Query,
    headers: &HeaderMap,
    demo: &Demo,
) -> Result<(Ticket, Option<Absence>), Error> {
    match looked_at(session, query, headers).await? {
        Seen::Nobody(absence) => Ok((Ticket::Blank, Some(absence))),
        Seen::Session(session) => {
            let devices = session.devices().await?;
            Ok((Live::of(&session, devices, demo).map_or(Ticket::Blank, |live| Ticket::Live(Box::new(live))), None))
        }
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    demo: &'a Demo,
    ticket: Ticket,
    notice: Option<Notice>,
    /// Across the blank ticket.
    stamp: Option<&'static str>,
    /// Where no session stands behind it.
    has_stale_cookie: bool,
    /// The page that plays another site.
    other_site: Option<String>,
}

impl Page<'_> {
    const LONGEST_USERNAME: usize = LONGEST_USERNAME;
    const DEFAULT_USERNAME: &'static str = DEFAULT_USERNAME;
    const PRESETS: [u64; 4] = PRESETS;

    /// The state, for the script and for tests.
    fn state(&self) -> &'static str {
        match self.ticket {
            Ticket::Live(_) => "live",
            Ticket::Blank => "blank",
            Ticket::Closed(_) => "closed",
        }
    }

    /// Where the user is signed in, if somebody is.
    fn places(&self) -> Option<&Places> {
        match &self.ticket {
            Ticket::Live(live) => live.places.as_ref(),
            _ => None,
        }
    }

    fn is_in_memory(&self) -> bool {
        matches!(self.demo.place, Place::Memory)
    }
}

/// The ticket on the page.
enum Ticket {
    /// Of a session that lives.
    Live(Box<Live>),
    /// To be filled in.
    Blank,
    /// The store does not answer. The page has this status.
    Closed(StatusCode),
}

struct Live {
    id: String,
    username: String,
    page_views: i64,
    configured_ttl: u64,
    ttl: u64,
    remaining: Duration,
    key: String,
    fields: Vec<Stored>,
    /// What shows the same in a terminal.
    lines: Vec<String>,
    /// What every form of the page carries.
    csrf: String,
    /// Where the user is signed in; `None` where nobody is.
    places: Option<Places>,
}

/// What a signed-in user sees of all their sessions.
struct Places {
    devices: Vec<Row>,
    most: u64,
    told: Vec<Told>,
}

/// One device of the list.
struct Row {
    id: String,
    label: String,
    ip: Option<String>,
    signed_in: Moment,
    last_seen: Moment,
    current: bool,
}

struct Moment {
    iso: String,
    of_day: String,
}

/// One field, as it is in the store.
struct Stored {
    name: String,
    text: String,
}

impl Live {
    fn of(session: &Session, devices: Vec<Device>, demo: &Demo) -> Option<Live> {
        let id = session.id()?;
        let remaining = session.remaining()?;
        let key = key(demo, &id);
        Some(Live {
            id: id.to_string(),
            username: session.get(USERNAME).ok().flatten().unwrap_or_else(|| DEFAULT_USERNAME.to_owned()),
            page_views: session.get(PAGE_VIEWS).ok().flatten().unwrap_or_default(),
            configured_ttl: session.idle_timeout()?.as_secs(),
            ttl: whole_seconds(remaining.as_millis()),
            remaining,
            fields: session.stored().into_iter().map(Stored::of).collect(),
            lines: demo.place.lines(&id.to_string(), &key, demo.plain_tokens),
            key,
            csrf: session.csrf_token(),
            places: Places::of(session, devices, demo),
        })
    }

    /// The time left, as a clock shows it.
    fn clock(&self) -> String {
        clock(self.ttl)
    }

    /// How much of the ring is used up, in percent of its length.
    fn used(&self) -> String {
        let left = self.remaining.as_secs_f64() / (self.configured_ttl.max(1) as f64);
        format!("{:.2}", 100.0 * (1.0 - left.min(1.0)))
    }

    /// When a page without a script asks again: when the time is up.
    fn asks_again_after(&self) -> u64 {
        self.ttl + 1
    }

    fn seconds_left(&self) -> String {
        format!("{:.2}", self.remaining.as_secs_f64())
    }
}

impl Places {
    /// More free places than these are not drawn, only counted.
    const DRAWN: u64 = 5;

    fn of(session: &Session, devices: Vec<Device>, demo: &Demo) -> Option<Places> {
        let (session, user, signed_in_at) = (session.id()?, session.user()?, session.auth_time()?);
        let most = demo.limits.most_places;
        let told = demo.timeline.of(&Reader { session, user, signed_in_at, most_places: most });
        Some(Places { devices: devices.into_iter().map(Row::of).collect(), most, told })
    }

    fn free(&self) -> u64 {
        self.most.saturating_sub(self.devices.len() as u64)
    }

    fn drawn_free(&self) -> std::ops::Range<u64> {
        0..if self.most <= Places::DRAWN { self.free() } else { 0 }
    }

    fn most(&self) -> String {
        places(self.most)
    }
}

impl Row {
    fn of(device: Device) -> Row {
        Row {
            id: device.id.to_string(),
            label: device.label.unwrap_or_else(|| "Unknown device".to_owned()),
            ip: device.ip,
            signed_in: Moment::of(device.signed_in_at),
            last_seen: Moment::of(device.last_seen_at),
            current: device.current,
        }
    }
}

impl Moment {
    fn of(time: SystemTime) -> Moment {
        Moment { iso: times::iso(time), of_day: times::of_day(time) }
    }
}

impl Stored {
    /// The library masks hashes; a hash that it did not mask is not shown either.
    fn of((name, text): (String, String)) -> Stored {
        let text = if name.ends_with("secret_hash") { "(43 characters, not shown)".to_owned() } else { text };
        Stored { name, text }
    }
}

/// The session's key in the store. Of a plain token, which is the secret, only the beginning.
fn key(demo: &Demo, id: &SessionId) -> String {
    format!("{}{id}", demo.prefix)
}

/// `47` is `0:47`, an hour is `1:00:00`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// What the page says about the last thing that was tried.
struct Notice {
    tone: &'static str,
    text: String,
}

/// Why the session of this visitor ended.
fn evicted(demo: &Demo) -> Notice {
    let most = places(demo.limits.most_places);
    let text = format!(
        "You signed in elsewhere, and you may be signed in in {most} only: this session, the oldest, was ended."
    );
    Notice { tone: "bad", text }
}

/// The text of a code in the page's URL. Nothing, where it does not fit what there is by now.
fn notice(code: Code, ticket: &Ticket, longest_ttl: u64) -> Option<Notice> {
    let lives = matches!(ticket, Ticket::Live(_));
    let (tone, text) = match code {
        Code::Ended | Code::Expired | Code::NoSession if lives => return None,
        Code::Expired => ("plain", "The session expired.".to_owned()),
        Code::Ended => ("plain", "Your session expired, or was ended elsewhere.".to_owned()),
        Code::NoSession => ("plain", "There is no session. Start one first.".to_owned()),
        Code::Ttl => ("bad", format!("The time to live must be a whole number of seconds from 1 to {longest_ttl}.")),
        Code::Username => {
            ("bad", format!("The user name must have at most {LONGEST_USERNAME} characters and no control characters."))
        }
        Code::Form => ("bad", "The form could not be read.".to_owned()),
        Code::NoDevice => ("plain", "That device was already signed out.".to_owned()),
        Code::Conflict => ("bad", "Another request changed the session first. Try again.".to_owned()),
        Code::Refused => ("bad", "A form was refused.".to_owned()),
        Code::Store => ("bad", "The session store did not answer a moment ago. Now it answers again.".to_owned()),
        Code::Failed => ("bad", "That did not work. The log of the demo says why.".to_owned()),
    };
    Some(Notice { tone, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_hours_only_when_there_are_some() {
        assert_eq!([0, 9, 60, 3599, 3600, 43_200].map(clock), ["0:00", "0:09", "1:00", "59:59", "1:00:00", "12:00:00"]);
    }
}
