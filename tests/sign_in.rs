//! Who is signed in where, as browsers see it: through the real layer and router, in memory and on Redis.

mod support;

mod sign_in {
    mod app;
    mod binding;
    mod options;
    mod switching;
    mod interrupted;
    mod users;
    mod limit;
    mod next;
    mod rotation;
    mod told;
    mod events;
    mod costs;
    mod devices;
    mod freshness;
    mod configuration;
    mod cookie_age;
    mod not_durable;
    mod several_tokens;
}
