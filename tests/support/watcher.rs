//! Looks at a whole store again and again, and fails when an invariant of the design is broken.

use std::collections::{BTreeMap, BTreeSet};

/// What a store holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The sessions that live, by id.
    pub sessions: BTreeMap<String, Seen>,
    /// The ids that each user's index names, by user. A list would look at these ids.
    pub index: BTreeMap<String, BTreeSet<String>>,
    /// Keys that would live for ever.
    pub immortal: Vec<String>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub user: Option<String>,
    pub current: String,
    pub previous: Option<String>,
}

impl Scene {
    /// How many sessions of a user live.
    pub fn alive(&self, user: &str) -> usize {
        self.sessions.values().filter(|seen| seen.user.as_deref() == Some(user)).count()
    }

    /// Everything that plain Redis commands show.
    pub fn of_redis(client: &mut redis::Connection) -> Scene {
        let mut scene = Scene::default();
        // one script, so that everything is from one moment
        const LOOK: &str = "local seen = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              local pttl, kind = redis.call('PTTL', key), redis.call('TYPE', key).ok
              if kind == 'zset' then
                seen[#seen + 1] = { key, tostring(pttl), unpack(redis.call('ZRANGEBYSCORE', key, 0, '+inf')) }
              elseif kind == 'hash' then
                local held = redis.call('HMGET', key, 'created_at', 'user_id', 'secret_hash', 'previous_secret_hash')
                for i = 1, 4 do held[i] = held[i] or '' end
                seen[#seen + 1] = { key, tostring(pttl), unpack(held) }
              end
            end
            return seen";
        let keys: Vec<Vec<String>> = redis::cmd("EVAL").arg(LOOK).arg(0).query(client).unwrap();
        for line in keys {
            let (key, held) = (&line[0], &line[2..]);
            if line[1] == "-1" {
                scene.immortal.push(key.clone());
            }
            let name = key.strip_prefix("session:").expect("all keys are ours");
            if let Some(user) = name.strip_prefix("user:") {
                scene.index.insert(user.to_owned(), held.iter().cloned().collect());
            } else if !held[0].is_empty() {
                let some = |text: &String| (!text.is_empty()).then(|| text.clone());
                let seen = Seen { user: some(&held[1]), current: held[2].clone(), previous: some(&held[3]) };
                scene.sessions.insert(name.to_owned(), seen);
            }
        }
        scene
    }
}

/// Remembers what was seen so far. Its methods return what is wrong.
#[derive(Default)]
pub struct Watcher {
    last: Scene,
    ended: BTreeSet<String>,
    users: BTreeMap<String, String>,
    readable: BTreeMap<String, BTreeSet<String>>,
    stale: BTreeSet<String>,
    /// How many sessions a user may have, where that is limited.
    pub limit: Option<usize>,
}

impl Watcher {
    pub fn with_limit(limit: usize) -> Watcher {
        Watcher { limit: Some(limit), ..Watcher::default() }
    }

    /// Compares with everything that was seen before.
    pub fn look(&mut self, scene: Scene) -> Result<(), String> {
        if let Some(key) = scene.immortal.first() {
            return Err(format!("{key} has no expiry"));
        }
        for id in self.last.sessions.keys().filter(|id| !scene.sessions.contains_key(*id)) {
            self.ended.insert(id.clone());
        }
        for (id, seen) in &scene.sessions {
            if self.ended.contains(id) {
                return Err(format!("{id} had ended and lives again"));
            }
            self.look_at_user(&scene, id, seen)?;
            self.look_at_secrets(id, seen)?;
        }
        for user in scene.sessions.values().filter_map(|seen| seen.user.as_ref()) {
            if self.limit.is_some_and(|limit| scene.alive(user) > limit) {
                return Err(format!("{} sessions of {user} live", scene.alive(user)));
            }
        }
        self.last = scene;
        Ok(())
    }

    fn look_at_user(&mut self, scene: &Scene, id: &str, seen: &Seen) -> Result<(), String> {
        let Some(user) = &seen.user else {
            return match self.users.get(id) {
                Some(former) => Err(format!("{id} is not {former}'s any more")),
                None => Ok(()),
            };
        };
        if !scene.index.get(user).is_some_and(|ids| ids.contains(id)) {
            return Err(format!("{id} is bound to {user}, whose index misses it"));
        }
        match self.users.insert(id.to_owned(), user.clone()) {
            Some(former) if former != *user => Err(format!("{id} was {former}'s and is {user}'s")),
            Some(_) => Ok(()),
            None => {
                // the session was bound since the last look: no secret from before may read it any more
                let known = self.readable.get(id);
                let is_old = |secret: &String| known.is_some_and(|known| known.contains(secret));
                match is_old(&seen.current) || seen.previous.as_ref().is_some_and(is_old) {
                    true => Err(format!("a secret from before the sign-in opens {id}")),
                    false => Ok(()),
                }
            }
        }
    }

    fn look_at_secrets(&mut self, id: &str, seen: &Seen) -> Result<(), String> {
        let now: BTreeSet<_> = seen.previous.iter().chain([&seen.current]).cloned().collect();
        if let Some(secret) = now.iter().find(|secret| self.stale.contains(*secret)) {
            return Err(format!("{secret} was stale and opens {id} again"));
        }
        let before = self.readable.entry(id.to_owned()).or_default();
        self.stale.extend(before.difference(&now).cloned());
        before.extend(now);
        Ok(())
    }
}
