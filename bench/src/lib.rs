//! What the applications and the program that measures them share: who is compared, and what a session holds.

#![forbid(unsafe_code)]

mod page;
mod redis_server;

pub use page::put_between;
pub use redis_server::RedisServer;

use clap::ValueEnum;

/// One application of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    AxumPlain,
    AxumLayer,
    CloakroomEmbedded,
    CloakroomRedis,
    CloakroomNear,
    TowerSessionsMemory,
    TowerSessionsRedis,
    AxumSessionRedis,
    Tutorial,
    OneHgetall,
    ActixPlain,
    CloakroomActixEmbedded,
    CloakroomActixRedis,
    ActixSessionRedis,
}

impl Kind {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("every kind has a name").get_name().to_owned()
    }

    /// How the tables call it.
    pub fn title(self) -> &'static str {
        match self {
            Kind::AxumPlain => "axum without sessions",
            Kind::AxumLayer => "axum with an empty layer",
            Kind::CloakroomEmbedded => "Cloakroom, embedded",
            Kind::CloakroomRedis => "Cloakroom, Redis",
            Kind::CloakroomNear => "Cloakroom, Redis + near cache",
            Kind::TowerSessionsMemory => "tower-sessions, memory",
            Kind::TowerSessionsRedis => "tower-sessions, Redis",
            Kind::AxumSessionRedis => "axum_session, Redis",
            Kind::Tutorial => "the Redis tutorial's store",
            Kind::OneHgetall => "one HGETALL by hand",
            Kind::ActixPlain => "actix-web without sessions",
            Kind::CloakroomActixEmbedded => "Cloakroom on actix-web, embedded",
            Kind::CloakroomActixRedis => "Cloakroom on actix-web, Redis",
            Kind::ActixSessionRedis => "actix-session, Redis",
        }
    }

    /// What its figures are divided by: the same framework without sessions.
    pub fn plain(self) -> Kind {
        if self.is_on_actix() { Kind::ActixPlain } else { Kind::AxumPlain }
    }

    pub fn is_on_actix(self) -> bool {
        use Kind::{ActixPlain, ActixSessionRedis, CloakroomActixEmbedded, CloakroomActixRedis};
        matches!(self, ActixPlain | ActixSessionRedis | CloakroomActixEmbedded | CloakroomActixRedis)
    }

    pub fn is_ours(self) -> bool {
        use Kind::{CloakroomActixEmbedded, CloakroomActixRedis, CloakroomEmbedded, CloakroomNear, CloakroomRedis};
        matches!(
            self,
            CloakroomEmbedded | CloakroomRedis | CloakroomNear | CloakroomActixEmbedded | CloakroomActixRedis
        )
    }

    pub fn has_sessions(self) -> bool {
        self != self.plain() && self != Kind::AxumLayer
    }

    /// Whether the application does this at all. The handler with one HGETALL only reads; its sessions are made by
    /// the tutorial's code.
    pub fn does(self, operation: Operation) -> bool {
        match operation {
            Operation::Read => true,
            _ => self.has_sessions() && self != Kind::OneHgetall,
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    Read,
    Change,
    SignIn,
    SignOut,
}

impl Operation {
    pub const ALL: [Operation; 4] = [Operation::Read, Operation::Change, Operation::SignIn, Operation::SignOut];

    pub fn title(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Change => "read + change",
            Operation::SignIn => "sign in",
            Operation::SignOut => "sign out",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Operation::Read => "/read",
            Operation::Change => "/change",
            Operation::SignIn => "/sign-in",
            Operation::SignOut => "/sign-out",
        }
    }
}

/// The text fields of a session, about 300 bytes with their names, each value within 64 bytes; `views`, the number
/// that the change counts up, comes beside them.
pub const TEXTS: [(&str, &str); 5] = [
    ("name", "Andrew Example"),
    ("email", "andrew.example@mail.example.org"),
    ("cart", "4711:2,815:1,90210:3,1234:1,5678:9,31415:1,27182:2,16180:1"),
    ("return_to", "/catalogue/coats/winter?colour=blue&size=52&page=3"),
    ("preferences", "theme=dark,language=en-GB,currency=EUR,columns=4,hints=off"),
];

/// The fields with their values: the same, or with one value of 180 bytes instead of the cart's.
pub fn texts(long: bool) -> [(&'static str, String); 5] {
    TEXTS.map(|(name, value)| {
        let value = if long && name == "cart" { value.repeat(4)[..180].to_owned() } else { value.to_owned() };
        (name, value)
    })
}
