//! Sign-ins that may be asked for again when their answer was lost: the new token is derived instead of random, so that nothing has
//! to be stored for it.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Session;
use super::state::{State, Unopened};
use crate::clock::to_millis;
use crate::error::{Error, Result};
use crate::record::{Credentials, Lookup, Token, UserId};
use crate::sessions::ReadFrom;

/// How long the session of a visitor without one has the same id when it is asked for again. The minute before counts as well.
const WINDOW: Duration = Duration::from_secs(60);

const SHORTEST_SECRET: usize = 32;
const LONGEST_KEY: usize = 255;

/// From what the tokens of one sign-in are derived. Clones go on from there.
#[derive(Clone)]
pub(super) struct Repeatable(Hmac<Sha256>);

impl Repeatable {
    pub(super) fn new(secret: &[u8], key: &str) -> Result<Repeatable> {
        if secret.len() < SHORTEST_SECRET {
            let reason = "must have at least 32 bytes, which nobody else knows";
            return Err(Error::config("the secret of repeatable sign-ins", reason));
        }
        if !(1..=LONGEST_KEY).contains(&key.len()) {
            let reason = format!("must have 1 to {LONGEST_KEY} bytes, but this one has {}", key.len());
            return Err(Error::malformed("an idempotency key", reason));
        }
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of every length");
        Ok(Repeatable(mac).and("cloakroom sign-in 1").and(key))
    }

    pub(super) fn of(self, user: &UserId) -> Repeatable {
        self.and(user.as_str())
    }

    /// Returns the token that the sign-in gives to the session which these credentials open. It can become the session's token
    /// only once, because the secret that it replaces opens nothing afterwards.
    pub(super) fn token_after(&self, presented: &Credentials) -> Token {
        let replaced = presented.secret_hash.as_ref().map_or("", |hash| hash.as_str());
        let secret = self.clone().and("secret").and(presented.id.expose()).and(replaced).bytes();
        Token::with_secret(&presented.id, &secret)
    }

    /// Returns the token with which a session is made for a visitor who has none.
    fn token_of_visitor(&self, window: u64) -> Token {
        let of_window = self.clone().and("visitor").and(&window.to_string());
        let [id, secret] = ["id", "secret"].map(|part| of_window.clone().and(part).bytes());
        Token::derived(&id, &secret)
    }

    /// With the length in front, so that no two lists of parts are the same bytes.
    fn and(mut self, part: &str) -> Repeatable {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
        self
    }

    fn bytes(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

/// Tells which minute it is. Nothing ends by this clock: servers that disagree by more than a minute make two sessions of a
/// sign-in that is repeated at the other one.
fn window(now: SystemTime) -> u64 {
    to_millis(now) / WINDOW.as_millis() as u64
}

/// One sign-in that may be a repeated one.
pub(super) struct Repetition {
    from: Repeatable,
    window: u64,
}

impl Repetition {
    pub(super) fn new(repeatable: Repeatable, user: &UserId) -> Repetition {
        Repetition { from: repeatable.of(user), window: window(SystemTime::now()) }
    }

    /// Returns the token with which a session is made for a visitor who has none.
    pub(super) fn visitor(&self) -> Token {
        self.from.token_of_visitor(self.window)
    }

    /// Returns the token that this sign-in gives to a session.
    pub(super) fn token_after(&self, presented: &Credentials) -> Token {
        self.from.token_after(presented)
    }

    /// Returns the tokens that this sign-in may have been answered with before.
    fn answers(&self, state: &State) -> Vec<Token> {
        let Some(current) = &state.current else {
            let replaced = state.unopened.iter().filter_map(Unopened::unknown);
            let before = self.from.token_of_visitor(self.window.saturating_sub(1)).presented();
            return replaced.chain([before]).map(|presented| self.token_after(&presented)).collect();
        };
        // the browser has the answer already: the record knows for a while which secret the last sign-in replaced
        let replaced = current
            .record()
            .sign_in_secret_hash
            .map(|secret_hash| self.token_after(&Credentials { secret_hash: Some(secret_hash), ..current.presented }));
        replaced.into_iter().filter(|token| token.presented() == current.presented).collect()
    }

    /// Returns the token of a visitor without a session who was signed in a moment ago.
    fn answer_of_this_minute(&self) -> Token {
        self.token_after(&self.visitor().presented())
    }
}

impl Session {
    /// Answers as before if this sign-in was made before: with the token that it has made then. One round trip for each token of
    /// the request that opens nothing, and one for a visitor without a session.
    pub(super) async fn was_answered(&self, repetition: &Repetition, user: &UserId) -> Result<bool> {
        let answers = repetition.answers(&self.state());
        for token in answers {
            if self.takes(token, user).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Answers as a sign-in of this minute if it was made meanwhile. One round trip.
    pub(super) async fn was_just_answered(&self, repetition: &Repetition, user: &UserId) -> Result<bool> {
        self.takes(repetition.answer_of_this_minute(), user).await
    }

    /// Takes this token if it is the current one of a session of this user. One that was replaced since must not come back.
    async fn takes(&self, token: Token, user: &UserId) -> Result<bool> {
        let presented = token.presented();
        match self.sessions().load(&presented, ReadFrom::Store).await? {
            Lookup::Live(loaded)
                if loaded.record.secret_hash == presented.secret_hash
                    && loaded.record.user_id.as_ref() == Some(user) =>
            {
                tracing::debug!(target: "cloakroom", session = %presented.id, "a sign-in was repeated");
                self.state().hand_out(token, loaded, self.sessions());
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64, secret: &[u8], key: &str, user: &str) -> Repetition {
        let from = Repeatable::new(secret, key).unwrap().of(&UserId::try_from(user).unwrap());
        Repetition { from, window: window(UNIX_EPOCH + Duration::from_secs(seconds)) }
    }

    #[test]
    fn a_visitors_sign_in_is_found_again_for_one_to_two_minutes() {
        for began in [0, 1, 59, 60, 1_000_000] {
            let first = at(began, &[7; 32], "key", "ada").answer_of_this_minute();
            for (later, is_found) in [(0, true), (1, true), (60, true), (120, false), (86_400, false)] {
                let repeated = at(began + later, &[7; 32], "key", "ada");
                let mut answers = repeated.answers(&State::default());
                answers.push(repeated.answer_of_this_minute());
                let found = answers.iter().any(|token| token.expose() == first.expose());
                assert_eq!(found, is_found, "{later} seconds after {began}");
            }
        }
    }

    #[test]
    fn another_secret_key_user_session_or_minute_has_another_token() {
        let tokens = [
            at(0, &[7; 32], "key", "ada"),
            at(0, &[8; 32], "key", "ada"),
            at(0, &[7; 32], "other", "ada"),
            at(0, &[7; 32], "key", "bob"),
            at(0, &[7; 32], "keya", "da"),
            at(60, &[7; 32], "key", "ada"),
        ];
        let elsewhere = tokens[0].token_after(&tokens[1].visitor().presented());
        let again = tokens[0].token_after(&tokens[0].answer_of_this_minute().presented());
        let all = tokens.iter().flat_map(|one| [one.visitor(), one.answer_of_this_minute()]);
        let secrets: HashSet<_> = all.chain([elsewhere, again]).map(|token| token.expose()[23..].to_owned()).collect();
        assert_eq!(secrets.len(), 2 * tokens.len() + 2);
    }

    #[test]
    fn a_secret_that_is_too_short_and_a_key_of_no_bytes_or_too_many_are_refused() {
        assert!(Repeatable::new(&[0; 31], "key").err().is_some_and(|error| error.is_config()));
        assert!(Repeatable::new(&[0; 32], "").err().is_some_and(|error| error.status() == 400));
        assert!(Repeatable::new(&[0; 32], &"k".repeat(256)).err().is_some_and(|error| error.status() == 400));
        assert!(Repeatable::new(&[0; 32], &"k".repeat(255)).is_ok());
    }
}
