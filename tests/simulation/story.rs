//! What happens in a program, step by step, and how a person reads it.

use std::fmt::{self, Display, Formatter};

use crate::scenes;
use crate::support::Numbers;

pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) const USERS: [&str; 3] = ["ada", "bob", "cleo"];
pub(crate) const BROWSERS: [&str; 4] = ["the phone", "the laptop", "the tablet", "the kiosk"];

/// The commands that the store and its scripts need in Redis. Each may be forbidden.
const READS: [&str; 11] = [
    "evalsha",
    "hget",
    "hgetall",
    "hmget",
    "pttl",
    "time",
    "zcount",
    "zrange",
    "zrangebyscore",
    "zrevrangebyscore",
    "zscore",
];
const WRITES: [&str; 7] = ["del", "hdel", "hincrby", "hset", "pexpireat", "zadd", "zrem"];

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// One request, from its beginning to its end.
    Ask(Ask),
    /// Two requests at the same time. Two of one browser bring the cookie that it had before either.
    Both(Ask, Ask, Order),
    /// So many seconds pass.
    Wait(u64),
    /// The server is stopped in good order and started again.
    Restart,
    /// The server is killed, and started again with its clock set back by so many seconds.
    Kill(u64),
    /// All sessions move to another store, and the application with them.
    Move,
    /// An operator makes a copy of all sessions.
    Export,
    /// The sessions of the latest copy are made again, where they are not there any more, while there is a request.
    Import(Ask, Order),
    /// A browser gets one more cookie of our name: the one that another browser has at this moment, or that it has itself. It
    /// stands at a path of its own, so no answer replaces it, and comes before the browser's own or after it.
    Plant { browser: usize, from: usize, before: bool },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) browser: usize,
    pub(crate) server: usize,
    pub(crate) act: Act,
    pub(crate) fate: Fate,
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Look,
    /// Looks at what needs a sign-in of the last ten minutes.
    LookRecent,
    /// Puts a number that nobody has put before into the cart.
    Put,
    Count,
    /// Appends a number that nobody has appended before to a list, when the answer is ready.
    Push,
    /// Appends such a number at once.
    Append,
    /// Takes the list out.
    Take,
    /// Removes all fields.
    Clear,
    /// Names the fields.
    Fields,
    /// Gives the session an idle timeout of its own.
    SetIdle(u64),
    /// Lets the session end at a point in time of its own, in so many seconds; or takes that time away again.
    SetDeadline(Option<u64>),
    /// Shows a form: asks for its token, looks again, and stores something.
    Form,
    SignIn(usize, Grant),
    SignOut,
    /// Asks for a form's token, signs out, and puts something into the cart of whatever session there is then.
    Leave,
    SignOutOthers,
    SignOutEverywhere,
    /// Signs out the session that was made so manieth, if it is this user's.
    SignOutDevice(usize),
    Devices,
    Rotate,
    Elevate,
    /// The application ends all sessions of a user. It looks at no session itself.
    RevokeUser(usize),
    /// The application ends the session that was made so manieth.
    RevokeSession(usize),
}

impl Act {
    /// Whether it ends all of a user's sessions, or all but one.
    pub(crate) fn ends_all(self) -> bool {
        matches!(self, Act::SignOutOthers | Act::SignOutEverywhere | Act::RevokeUser(_))
    }
}

/// What a sign-in asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// What the server gives everybody.
    Usual,
    /// Thirty days, two weeks without use, and the browser keeps the cookie for as long.
    Remember,
    /// Half an hour, and until the browser is closed.
    Short,
    /// The user proved who they are to somebody else ten hours ago.
    Provider,
    /// Until an hour from now, whatever else allows more.
    Until,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// The browser never sees the answer.
    AnswerLost,
    /// The client hangs up after the request got so far.
    HungUp(usize),
    /// Some questions to the store go wrong, each known by its number.
    Trouble(Vec<(usize, Trouble)>),
}

/// What goes wrong in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The question is lost, and nobody knows whether it arrived.
    QuestionLost,
    /// It was done, and the answer is lost.
    AnswerLost,
    /// It was done, but a disk or a replica does not have it.
    NotDurable,
    /// The store answers that it will not do it.
    Refused,
    /// The store's server itself refuses what it needs for that, while it is asked.
    Denied(Denial),
}

/// Why a server refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Its memory is full.
    Memory,
    /// It could not write its last snapshot.
    Snapshot,
    /// Too few replicas follow it.
    Replicas,
    /// It has become a replica itself.
    Demoted,
    /// The application's user may not run this command.
    Command(&'static str),
}

/// How two requests share the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// How long each of their questions takes.
    pub(crate) pace: u64,
    /// The answer of the second one comes first.
    pub(crate) swapped: bool,
}

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Vec<Step> {
    let mut numbers = Numbers(seed.wrapping_mul(0x2545_F491_4F6C_DD1D));
    let steps = 12 + numbers.below(30);
    let mut program: Vec<Step> = (0..steps).map(|_| step(&mut numbers)).collect();
    if numbers.below(2) == 0 {
        let at = numbers.below(program.len());
        program.splice(at..at, scenes::scene(&mut numbers));
    }
    program
}

fn step(numbers: &mut Numbers) -> Step {
    match numbers.below(100) {
        0..60 => Step::Ask(ask(numbers, true)),
        60..72 => both(numbers),
        72..94 => Step::Wait(duration(numbers)),
        94 => Step::Export,
        95 => Step::Import(ask(numbers, false), order(numbers)),
        96 => Step::Restart,
        97 => Step::Kill([0, HOUR, DAY][numbers.below(3)]),
        98 => Step::Move,
        _ => plant(numbers),
    }
}

fn plant(numbers: &mut Numbers) -> Step {
    let (browser, from) = (numbers.below(BROWSERS.len()), numbers.below(BROWSERS.len()));
    Step::Plant { browser, from, before: numbers.below(2) == 0 }
}

fn both(numbers: &mut Numbers) -> Step {
    let first = ask(numbers, false);
    let mut second = ask(numbers, false);
    if numbers.below(3) > 0 {
        // tabs of one browser, or a double click
        (second.browser, second.server) = (first.browser, first.server);
        if numbers.below(3) == 0 {
            second.act = first.act;
        }
    }
    Step::Both(first, second, order(numbers))
}

pub(crate) fn order(numbers: &mut Numbers) -> Order {
    Order { pace: numbers.below(1 << 30) as u64, swapped: numbers.below(2) == 0 }
}

fn ask(numbers: &mut Numbers, with_trouble: bool) -> Ask {
    let (browser, server) = (numbers.below(BROWSERS.len()), numbers.below(crate::server::SERVERS));
    let act = act(numbers);
    let fate = match numbers.below(20) {
        0 if with_trouble => Fate::AnswerLost,
        1 if with_trouble => Fate::HungUp(1 + numbers.below(6)),
        2 | 3 if with_trouble => {
            let several = 1 + numbers.below(4) / 3;
            Fate::Trouble((0..several).map(|_| (numbers.below(4), trouble(numbers))).collect())
        }
        _ => Fate::Fine,
    };
    Ask { browser, server, act, fate }
}

fn act(numbers: &mut Numbers) -> Act {
    match numbers.below(50) {
        0..5 => Act::Look,
        5 => Act::LookRecent,
        6..8 => Act::Put,
        8..10 => Act::Count,
        10 => Act::Form,
        11 => Act::Leave,
        12..24 => Act::SignIn([0, 0, 0, 1, 2][numbers.below(5)], grant(numbers)),
        24..26 => Act::SignOut,
        26 => Act::SignOutOthers,
        27 => Act::SignOutEverywhere,
        28 => Act::SignOutDevice(numbers.below(8)),
        29..32 => Act::Devices,
        32..34 => Act::Rotate,
        34..36 => Act::Elevate,
        36..38 => Act::RevokeUser([0, 0, 1, 2][numbers.below(4)]),
        38..40 => Act::RevokeSession(numbers.below(8)),
        40..42 => Act::Push,
        42..44 => Act::Append,
        44 => Act::Take,
        45 => Act::Clear,
        46 => Act::Fields,
        47 => Act::SetIdle([5 * MINUTE, 3 * HOUR, 3 * DAY][numbers.below(3)]),
        _ => Act::SetDeadline([Some(20 * MINUTE), Some(6 * HOUR), Some(20 * DAY), None][numbers.below(4)]),
    }
}

fn grant(numbers: &mut Numbers) -> Grant {
    [Grant::Usual, Grant::Usual, Grant::Remember, Grant::Short, Grant::Provider, Grant::Until][numbers.below(6)]
}

fn trouble(numbers: &mut Numbers) -> Trouble {
    match numbers.below(6) {
        0 => Trouble::QuestionLost,
        1 => Trouble::AnswerLost,
        2 => Trouble::NotDurable,
        3 => Trouble::Refused,
        _ => Trouble::Denied(denial(numbers)),
    }
}

pub(crate) fn denial(numbers: &mut Numbers) -> Denial {
    match numbers.below(8) {
        0 => Denial::Memory,
        1 => Denial::Snapshot,
        2 => Denial::Replicas,
        3 => Denial::Demoted,
        4 => Denial::Command(READS[numbers.below(READS.len())]),
        _ => Denial::Command(WRITES[numbers.below(WRITES.len())]),
    }
}

fn duration(numbers: &mut Numbers) -> u64 {
    const LENGTHS: [u64; 12] =
        [1, 5, 30, 2 * MINUTE, 10 * MINUTE, 20 * MINUTE, 31 * MINUTE, 2 * HOUR, 7 * HOUR, 12 * HOUR, 3 * DAY, 15 * DAY];
    LENGTHS[numbers.below(LENGTHS.len())]
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::Ask(ask) => ask.fmt(f),
            Step::Both(first, second, order) => {
                let late = if order.swapped { ", whose answer comes first" } else { "" };
                write!(f, "{first}, and at the same time {second}{late} (pace {})", order.pace)
            }
            Step::Wait(seconds) => write!(f, "{} pass", Span(*seconds)),
            Step::Restart => f.write_str("the server restarts"),
            Step::Kill(0) => f.write_str("the server is killed and started again"),
            Step::Kill(back) => write!(f, "the server is killed and started again, its clock {} back", Span(*back)),
            Step::Move => f.write_str("all sessions move to another store"),
            Step::Export => f.write_str("all sessions are exported"),
            Step::Import(ask, order) => {
                write!(f, "they are imported, and at the same time {ask} (pace {})", order.pace)
            }
            Step::Plant { browser, from, before } => {
                let where_to = if *before { "before its own" } else { "after its own" };
                let (browser, from) = (BROWSERS[*browser], BROWSERS[*from]);
                write!(f, "{browser} gets a second cookie, that of {from} at this moment, {where_to}")
            }
        }
    }
}

impl Display for Ask {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let browser = BROWSERS[self.browser];
        match self.act {
            Act::Look => write!(f, "{browser} looks")?,
            Act::LookRecent => write!(f, "{browser} looks at what needs a recent sign-in")?,
            Act::Put => write!(f, "{browser} puts something into its cart")?,
            Act::Count => write!(f, "{browser} counts")?,
            Act::Push => write!(f, "{browser} pushes a note")?,
            Act::Append => write!(f, "{browser} appends a note")?,
            Act::Take => write!(f, "{browser} takes the notes out")?,
            Act::Clear => write!(f, "{browser} clears all fields")?,
            Act::Fields => write!(f, "{browser} names the fields")?,
            Act::SetIdle(seconds) => write!(f, "{browser} sets its idle timeout to {}", Span(seconds))?,
            Act::SetDeadline(Some(seconds)) => write!(f, "{browser} lets its session end in {}", Span(seconds))?,
            Act::SetDeadline(None) => write!(f, "{browser} takes the deadline of its session away")?,
            Act::Form => write!(f, "{browser} opens a form")?,
            Act::SignIn(user, grant) => {
                let user = USERS[user];
                match grant {
                    Grant::Usual => write!(f, "{browser} signs {user} in")?,
                    Grant::Remember => write!(f, "{browser} signs {user} in for 30 days")?,
                    Grant::Short => write!(f, "{browser} signs {user} in for half an hour")?,
                    Grant::Provider => write!(f, "{browser} signs {user} in, who proved it 10 hours ago")?,
                    Grant::Until => write!(f, "{browser} signs {user} in until an hour from now")?,
                }
            }
            Act::SignOut => write!(f, "{browser} signs out")?,
            Act::Leave => write!(f, "{browser} opens a form, signs out, and puts something into its cart")?,
            Act::SignOutOthers => write!(f, "{browser} signs out the others")?,
            Act::SignOutEverywhere => write!(f, "{browser} signs out everywhere")?,
            Act::SignOutDevice(nth) => write!(f, "{browser} signs out session {nth}")?,
            Act::Devices => write!(f, "{browser} lists the devices")?,
            Act::Rotate => write!(f, "{browser} rotates")?,
            Act::Elevate => write!(f, "{browser} elevates")?,
            Act::RevokeUser(user) => write!(f, "the application ends all sessions of {}", USERS[user])?,
            Act::RevokeSession(nth) => write!(f, "the application ends session {nth}")?,
        }
        write!(f, " at {}", crate::server::NAMES[self.server])?;
        match &self.fate {
            Fate::Fine => Ok(()),
            Fate::AnswerLost => f.write_str(", but never sees the answer"),
            Fate::HungUp(after) => write!(f, ", but hangs up after {after}"),
            Fate::Trouble(troubles) => troubles
                .iter()
                .try_for_each(|(nth, trouble)| write!(f, ", but question {nth} to the store: {trouble:?}")),
        }
    }
}

struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds >= 2 * DAY => write!(f, "{} days", seconds / DAY),
            seconds if seconds >= 2 * HOUR => write!(f, "{} hours", seconds / HOUR),
            seconds if seconds >= 2 * MINUTE => write!(f, "{} minutes", seconds / MINUTE),
            seconds => write!(f, "{seconds} seconds"),
        }
    }
}
