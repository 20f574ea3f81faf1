//! Explains how to use the library, one chapter after the other, and why it is as it is.
//!
//! These are the chapters in the order in which most readers need them. Each ends with a link to the next.
//!
//! 1. [Getting started](mod@getting_started): an application with sessions in five minutes, over plain http
//! 2. [Sessions and fields](mod@sessions): what a session holds, how long it lives, and where a 401 comes from
//! 3. [Signing in](mod@sign_in): connect a session to a user, and protect routes
//! 4. [Devices and signing out](mod@devices): show users where they are signed in, and end sessions
//!     - [Bearer tokens](mod@bearer): mobile applications, command lines and other services
//!     - [Streams and sockets](mod@streams): after the response's head has left, until the user signs out
//!     - [Sessions outside a request](mod@outside_requests): jobs, scripts and other transports
//! 5. [CSRF](mod@csrf): refuse requests that other sites forge
//!     - [Posts from other sites](mod@cross_site): payment pages and identity providers
//!     - [Middleware and layers](mod@middleware): the order of layers, routes outside, background work
//! 6. [Choosing a store](mod@choosing_a_store): in memory, in a directory, or in Redis
//!     - [One machine, no server](mod@embedded): the store in a directory
//!     - [Running on Redis](mod@redis): clusters, Sentinel, TLS, and what the server needs
//!     - [Near cache](mod@near_cache): read sessions without a round trip
//!     - [Moving to another store](mod@moving): take all sessions along, and sign nobody out
//!     - [Sharing sessions with other programs](mod@sharing): the layout in Redis, and tokens that others understand
//!     - [Coming from elsewhere](mod@coming_from_elsewhere): change to Cloakroom, and sign nobody out
//!     - [Coming from tower-sessions and axum-login](mod@coming_from_tower_sessions): all at once, or the stores first
//!     - [Coming from actix-session](mod@coming_from_actix_session): encrypted cookies, sessions in Redis
//!     - [Coming from the Redis tutorials](mod@coming_from_redis_tutorials): one Redis for both, in any language
//!     - [Coming from express-session or Spring Session](mod@coming_from_express_or_spring): from another language, on the same Redis
//! 7. [Going to production](mod@production): a checklist for the day on which others begin to use it
//!     - [Proxies, caches and cookies](mod@proxies): what must come through, the back button, several applications on one host
//!     - [In front of any application: nginx, Caddy, Traefik, Envoy](mod@proxies_forward_auth): a proxy asks who is there, for applications in any language
//!     - [The configuration file](mod@configuration): one file for all programs that share their sessions
//! 8. [Testing your application](mod@testing): through time, without a server
//! 9. [Other frameworks](mod@other_frameworks): actix-web, and whatever takes a layer of tower
//!     - [The session service](mod@service): `cloakroom serve` over HTTP, for applications in any language
//!     - [Other languages](mod@other_languages): JavaScript, Python, PHP and Go: one file to copy, and an application in each
//! 10. [Writing a store](mod@writing_a_store): keep sessions in another database
//! 11. [Writing an adapter](mod@writing_an_adapter): use sessions in a framework without tower
//! 12. [Operating](mod@operating): the program for operators
//!     - [Metrics and traces](mod@metrics): what is counted and logged
//!     - [Running the service](mod@running_the_service): `cloakroom serve`, its keys, systemd, a container, and its limits
//! 13. [What is guaranteed](mod@guarantees): on one server, and after a failover
//! 14. [Performance](mod@performance): figures beside other session layers
//! 15. [Design](mod@design): words, invariants, and the reasons for decisions

/// Makes a module of each page in `docs/`. The pages are written for GitHub: at its end, each says to which files its links
/// lead. `guide/links.md` comes before them and says the same for rustdoc, and in Markdown the first definition counts.
macro_rules! chapters {
    ($($(#[$attribute:meta])* $name:ident: $page:literal;)*) => {$(
        $(#[$attribute])*
        #[doc = include_str!("guide/links.md")]
        #[doc = include_str!(concat!("../docs/", $page))]
        pub mod $name {}
    )*};
}

chapters! {
    #[cfg(all(feature = "axum", feature = "actix", feature = "embedded"))]
    getting_started: "getting-started.md";
    sessions: "sessions.md";
    #[cfg(feature = "axum")]
    sign_in: "sign-in.md";
    #[cfg(feature = "axum")]
    devices: "devices.md";
    #[cfg(feature = "axum")]
    bearer: "bearer.md";
    #[cfg(all(feature = "axum", feature = "redis"))]
    streams: "streams.md";
    outside_requests: "outside-requests.md";
    #[cfg(feature = "axum")]
    csrf: "csrf.md";
    #[cfg(feature = "axum")]
    cross_site: "cross-site.md";
    #[cfg(feature = "axum")]
    middleware: "middleware.md";
    #[cfg(all(feature = "embedded", feature = "redis"))]
    choosing_a_store: "choosing-a-store.md";
    #[cfg(feature = "embedded")]
    embedded: "embedded.md";
    #[cfg(feature = "tls")]
    redis: "redis.md";
    #[cfg(feature = "redis")]
    near_cache: "near-cache.md";
    #[cfg(feature = "embedded")]
    moving: "moving.md";
    sharing: "sharing.md";
    #[cfg(all(feature = "axum", feature = "redis", feature = "embedded"))]
    coming_from_elsewhere: "coming-from-elsewhere.md";
    #[cfg(all(feature = "axum", feature = "redis", feature = "embedded"))]
    coming_from_tower_sessions: "coming-from-tower-sessions.md";
    #[cfg(all(feature = "axum", feature = "redis", feature = "embedded"))]
    coming_from_actix_session: "coming-from-actix-session.md";
    #[cfg(all(feature = "axum", feature = "redis", feature = "embedded"))]
    coming_from_redis_tutorials: "coming-from-redis-tutorials.md";
    #[cfg(all(feature = "axum", feature = "redis", feature = "embedded"))]
    coming_from_express_or_spring: "coming-from-express-or-spring.md";
    #[cfg(feature = "axum")]
    production: "production.md";
    #[cfg(feature = "axum")]
    proxies: "proxies.md";
    #[cfg(feature = "axum")]
    proxies_forward_auth: "proxies-forward-auth.md";
    #[cfg(feature = "config-file")]
    configuration: "configuration.md";
    #[cfg(all(feature = "axum", feature = "actix", feature = "testing"))]
    testing: "testing.md";
    #[cfg(all(feature = "axum", feature = "actix"))]
    other_frameworks: "other-frameworks.md";
    service: "service.md";
    other_languages: "other-languages.md";
    #[cfg(feature = "conformance")]
    writing_a_store: "writing-a-store.md";
    writing_an_adapter: "writing-an-adapter.md";
    operating: "operating.md";
    #[cfg(feature = "metrics")]
    metrics: "metrics.md";
    running_the_service: "running-the-service.md";
    #[cfg(feature = "redis")]
    guarantees: "guarantees.md";
    #[doc = include_str!("guide/figure.md")]
    performance: "performance.md";
    design: "design.md";
}

#[cfg(all(doctest, feature = "axum", feature = "embedded"))]
#[doc = include_str!("../README.md")]
struct Readme;
