//! What a request must and must not see, and what follows from having come.

use super::known::{Alive, Range, Worth};
use super::{Millis, Oracle, Wrong, secs};
use crate::server::{RULES, Seen};
use crate::story::USERS;

impl Oracle {
    /// Judges what somebody with this token sees. The session, if it is opened. With `learn` it is how things are now.
    pub(crate) fn sees(
        &mut self,
        token: Option<&str>,
        seen: &Seen,
        now: Millis,
        learn: bool,
    ) -> Result<Option<usize>, Wrong> {
        let Some((token, nth)) = token.and_then(|token| Some((token, self.session_of(token)?))) else {
            return if *seen == Seen::default() { Ok(None) } else { Err(format!("without a token it sees {seen:?}")) };
        };
        let known = &mut self.sessions[nth];
        let worth = known.worth(token);
        if seen.id.is_none() {
            if *seen != Seen::default() {
                return Err(format!("without a session it sees {seen:?}"));
            }
            let reads = match worth {
                Worth::Current => true,
                Worth::Held(must, _) => must.is_none_or(|must| now < must),
                Worth::Over(_) | Worth::Nothing | Worth::Unknown => false,
            };
            if reads && known.lives(now) {
                return Err(format!(
                    "{} is not seen, with {worth:?}, {} s too early",
                    known.name(),
                    secs(known.lives_until() - now)
                ));
            }
            if learn && reads {
                known.alive = Alive::No; // it was told
            }
            if learn && matches!(worth, Worth::Held(_, Some(may)) if now >= may) {
                known.judge(|other, worth| if other == token { Worth::Over(true) } else { worth });
            }
            return Ok(None);
        }
        let user = seen.user.as_deref().map(|user| USERS.iter().position(|name| *name == user).expect("a user"));
        let why = match worth {
            _ if seen.id.as_deref() != Some(&known.id) => Some("another session is seen".to_owned()),
            _ if known.alive == Alive::No => Some("it had ended, and lives again".to_owned()),
            _ if now >= known.gone_from() => {
                Some(format!("it should have ended {} s ago", secs(now - known.gone_from())))
            }
            Worth::Nothing => Some("an old secret opens it".to_owned()),
            Worth::Over(_) => Some("a held secret opens it again".to_owned()),
            Worth::Held(_, Some(may)) if now >= may => Some("a held secret opens it after its grace".to_owned()),
            _ if !known.users.contains(&user) => Some(format!("{:?} is signed in", seen.user)),
            _ if !known.contents.contains(&seen.contents) => {
                Some(format!("it holds {:?}, not {:?}", seen.contents, known.contents))
            }
            _ => None,
        };
        if let Some(why) = why {
            return Err(format!("{}: {why}", known.name()));
        }
        if learn {
            known.alive = Alive::Yes;
            known.users = vec![user];
            known.contents = vec![seen.contents.clone()];
        }
        Ok(Some(nth))
    }

    /// A request came with this token to a server that ends sessions whose old secrets show up, and the token opened nothing.
    pub(crate) fn replayed(&mut self, token: &str) {
        let Some(nth) = self.session_of(token) else { return };
        let known = &mut self.sessions[nth];
        match known.worth(token) {
            Worth::Held(..) | Worth::Over(true) => known.alive = Alive::No,
            Worth::Over(false) | Worth::Unknown => known.doubt(),
            Worth::Current | Worth::Nothing => {}
        }
    }

    /// A request came with this token, was answered, and nothing was unclear about it.
    pub(crate) fn used(&mut self, nth: usize, token: &str, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        known.may_be_bounded(server);
        if known.worth(token) != Worth::Current {
            known.may_be_used(now);
            return;
        }
        let idle = known.idle.1;
        let touch = RULES[server].touch.map(|touch| touch * 1000).filter(|touch| *touch < idle).unwrap_or(idle / 10);
        // an access at a time that is to come, because the clock was set back since, is put right
        known.used = Range(known.used.0.min(now).max(now.saturating_sub(touch)), now);
        known.judge(|_, worth| match worth {
            // the browser has the new secret: the grace begins
            Worth::Held(None, None) => {
                let until = now + RULES[server].grace * 1000;
                Worth::Held(Some(until), Some(until + 1000))
            }
            other => other,
        });
    }

    /// A request may have come with this token.
    pub(crate) fn may_be_used(&mut self, nth: usize, server: usize, now: Millis) {
        let known = &mut self.sessions[nth];
        known.may_be_bounded(server);
        known.may_be_used(now);
        if known.rotation(server, now).1 {
            known.may_have_new_secret(now);
        }
        known.judge(|_, worth| match worth {
            Worth::Held(must, may) => Worth::Held(Some(must.unwrap_or(now).min(now)), may),
            other => other,
        });
    }
}
