//! How a session is written on the disk: as bytes that begin with their length, and are checked when they are read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::{from_millis, to_millis};
use crate::record::{Fields, Previous, Record, SecretHash, SessionId, UserId};

/// What the store knows about a session id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// A session, and when its user signed in, in microseconds since 1970, or 0 if nobody has signed in. It gives
    /// the order of a user's sessions. Only a session that came from another store can have the time of another one.
    Live(Arc<Record>, u64),
    /// A session that was evicted. Whoever presents this secret before this time is told so.
    Evicted(Option<SecretHash>, SystemTime),
}

const LIVE: u8 = 1;
const EVICTED: u8 = 2;
/// A session with a deadline of its own, which comes first.
const LIVE_UNTIL: u8 = 3;

/// Appends a session and its state, or `None` if it is gone. The length comes first, so that a reader can skip the state.
pub(super) fn write(out: &mut Vec<u8>, id: &SessionId, state: Option<&State>) {
    put_text(out, id.expose());
    let begin = out.len() + size_of::<u32>();
    out.extend([0; size_of::<u32>()]);
    match state {
        None => {}
        Some(State::Live(record, order)) => {
            match record.own_deadline {
                None => out.push(LIVE),
                Some(own) => {
                    out.push(LIVE_UNTIL);
                    put_time(out, own);
                }
            }
            out.extend(order.to_le_bytes());
            write_record(out, record);
        }
        Some(State::Evicted(secret_hash, until)) => {
            out.push(EVICTED);
            put_option(out, secret_hash.as_ref(), |out, hash| out.extend(hash.as_str().as_bytes()));
            put_time(out, *until);
        }
    }
    let len = (out.len() - begin) as u32;
    out[begin - size_of::<u32>()..begin].copy_from_slice(&len.to_le_bytes());
}

fn write_record(out: &mut Vec<u8>, record: &Record) {
    put_time(out, record.created_at);
    put_time(out, record.last_accessed_at);
    put_duration(out, record.idle_timeout);
    put_time(out, record.expires_at);
    let put_hash = |out: &mut Vec<u8>, hash: &SecretHash| out.extend(hash.as_str().as_bytes());
    put_option(out, record.secret_hash.as_ref(), put_hash);
    put_option(out, record.previous.as_ref(), |out, held| {
        put_hash(out, &held.secret_hash);
        put_option(out, held.until, put_time);
    });
    put_option(out, record.rotated_at, put_time);
    put_option(out, record.user_id.as_ref(), |out, user| put_text(out, user.as_str()));
    put_option(out, record.auth_time, put_time);
    put_option(out, record.signed_in_at, put_time);
    put_option(out, record.absolute_lifetime, put_duration);
    put_option(out, record.cookie_max_age, put_duration);
    put_option(out, record.sign_in_secret_hash.as_ref(), put_hash);
    put_option(out, record.device.as_deref(), put_text);
    put_option(out, record.ip.as_deref(), put_text);
    out.extend((record.fields.len() as u32).to_le_bytes());
    for (name, text) in record.fields.iter() {
        put_text(out, name);
        put_text(out, text);
    }
}

fn put_time(out: &mut Vec<u8>, time: SystemTime) {
    out.extend(to_millis(time).to_le_bytes());
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    out.extend((duration.as_millis() as u64).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl Fn(&mut Vec<u8>, T)) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        put(out, value);
    }
}

/// Reads bytes from the front. `None` means that they are not what was written.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Returns the next session, and its state as it is written, for [`state`](Reader::state). The state is empty if the session is gone.
    pub(super) fn change(&mut self) -> Option<(SessionId, &'a [u8])> {
        let id = SessionId::parse(self.text()?).ok()?;
        let len = u32::from_le_bytes(self.array()?);
        Some((id, self.take(len as usize)?))
    }

    /// Reads the state of a session. It must use every byte.
    pub(super) fn state(mut self) -> Option<State> {
        let state = match self.byte()? {
            LIVE => self.live(None)?,
            LIVE_UNTIL => {
                let own_deadline = self.time()?;
                self.live(Some(own_deadline))?
            }
            EVICTED => State::Evicted(self.option(Self::hash)?, self.time()?),
            _ => return None,
        };
        self.0.is_empty().then_some(state)
    }

    fn live(&mut self, own_deadline: Option<SystemTime>) -> Option<State> {
        let order = self.number()?;
        Some(State::Live(Arc::new(self.record(own_deadline)?), order))
    }

    // Rust evaluates these in the order in which they are listed, which is the order in which they were written
    fn record(&mut self, own_deadline: Option<SystemTime>) -> Option<Record> {
        Some(Record {
            created_at: self.time()?,
            last_accessed_at: self.time()?,
            idle_timeout: self.duration()?,
            expires_at: self.time()?,
            own_deadline,
            secret_hash: self.option(Self::hash)?,
            previous: self
                .option(|from| Some(Previous { secret_hash: from.hash()?, until: from.option(Self::time)? }))?,
            rotated_at: self.option(Self::time)?,
            user_id: self.option(|from| UserId::try_from(from.text()?).ok())?,
            auth_time: self.option(Self::time)?,
            signed_in_at: self.option(Self::time)?,
            absolute_lifetime: self.option(Self::duration)?,
            cookie_max_age: self.option(Self::duration)?,
            sign_in_secret_hash: self.option(Self::hash)?,
            device: self.option(|from| from.text().map(str::to_owned))?,
            ip: self.option(|from| from.text().map(str::to_owned))?,
            fields: self.fields()?,
        })
    }

    fn fields(&mut self) -> Option<Fields> {
        let count = u32::from_le_bytes(self.array()?);
        (0..count).map(|_| Some((self.text()?, self.text()?))).collect()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Option<SystemTime> {
        // a time beyond this cannot have been written, and adding to it must not overflow
        self.number().filter(|millis| *millis < 1 << 53).map(from_millis)
    }

    fn duration(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_millis)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = u32::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(len as usize)?).ok()
    }

    fn hash(&mut self) -> Option<SecretHash> {
        let text = std::str::from_utf8(self.take(43)?).ok()?;
        SecretHash::parse(text)
    }

    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Token, TokenFormat};

    fn record() -> Record {
        let at = |secs: u64| from_millis(1_775_133_296_007 + 1000 * secs);
        let hash = |_| Token::mint(TokenFormat::Secret).unwrap().presented().secret_hash;
        Record {
            fields: [("name", "andrew"), ("leer", "")].into(),
            created_at: at(0),
            last_accessed_at: at(1),
            idle_timeout: Duration::from_secs(1800),
            expires_at: at(43_200),
            own_deadline: Some(at(43_200)),
            secret_hash: hash(1),
            previous: Some(Previous { secret_hash: hash(2).unwrap(), until: Some(at(30)) }),
            rotated_at: Some(at(2)),
            user_id: Some(UserId::from(42)),
            auth_time: Some(at(3)),
            signed_in_at: Some(at(4)),
            absolute_lifetime: Some(Duration::from_secs(43_196)),
            cookie_max_age: Some(Duration::ZERO),
            sign_in_secret_hash: hash(3),
            device: Some("Firefox on Linux".into()),
            ip: Some("192.0.2.7".into()),
        }
    }

    fn states() -> Vec<Option<State>> {
        let full = record();
        let mut bare = Record { previous: None, rotated_at: None, user_id: None, auth_time: None, ..record() };
        (bare.signed_in_at, bare.absolute_lifetime, bare.cookie_max_age) = (None, None, None);
        (bare.device, bare.ip, bare.secret_hash, bare.fields) = (None, None, None, Fields::new());
        (bare.sign_in_secret_hash, bare.own_deadline) = (None, None);
        let until = full.expires_at;
        let secret_hash = full.secret_hash;
        vec![
            None,
            Some(State::Live(full.into(), 7)),
            Some(State::Live(bare.into(), 0)),
            Some(State::Evicted(secret_hash, until)),
            Some(State::Evicted(None, until)),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_in_every_part() {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let id = Token::mint(format).unwrap().presented().id;
            for state in states() {
                let mut bytes = Vec::new();
                write(&mut bytes, &id, state.as_ref());
                let mut from = Reader(&bytes);
                let (read, written) = from.change().unwrap();
                assert!(read == id && from.0.is_empty());
                assert_eq!((!written.is_empty()).then(|| Reader(written).state().unwrap()), state);
            }
        }
    }

    #[test]
    fn a_session_that_is_cut_off_anywhere_is_not_read_from_disk() {
        let id = Token::mint(TokenFormat::Secret).unwrap().presented().id;
        for state in states() {
            let mut bytes = Vec::new();
            write(&mut bytes, &id, state.as_ref());
            for len in 0..bytes.len() {
                assert_eq!(Reader(&bytes[..len]).change(), None);
            }
            let (_, written) = Reader(&bytes).change().unwrap();
            for len in 0..written.len() {
                assert_eq!(Reader(&written[..len]).state(), None);
            }
        }
    }
}
