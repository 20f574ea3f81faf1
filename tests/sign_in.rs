//! Who is signed in where, as browsers see it: through the real layer and router, in memory and on Redis.
#![allow(clippy::duplicate_mod)] // a scenario is compiled once for each framework

mod support;

#[path = "sign_in"]
mod on_axum {
    use crate::support::on_axum as framework;

    mod app;
    mod binding;
    mod deadline;
    mod options;
    mod switching;
    mod interrupted;
    mod users;
    mod limit;
    mod next;
    mod repeatable;
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

#[path = "sign_in"]
mod on_actix {
    use crate::support::on_actix as framework;

    mod app;
    mod binding;
    mod deadline;
    mod options;
    mod switching;
    mod interrupted;
    mod users;
    mod limit;
    mod next;
    mod repeatable;
    mod rotation;
    mod told;
    mod events;
    mod costs;
    mod devices;
    mod freshness;
    mod cookie_age;
    mod not_durable;
    mod several_tokens;
}
