//! What a browser sees, through the real layer and router, with sessions in memory and in Redis.
#![allow(clippy::duplicate_mod)] // a scenario is compiled once for each framework

mod support;

#[path = "web"]
mod on_axum {
    use crate::support::on_axum as framework;

    mod adapter;
    mod batches;
    mod bodies;
    mod changed_settings;
    mod cookies;
    mod errors;
    mod failing_store;
    mod fields;
    mod late;
    mod layers;
    mod lists;
    mod lazy;
    mod middleware;
    mod opting_out;
    mod serving;
    mod signing_out;
    mod statuses;
    mod tower_http;
    mod two_cookies;
    mod values;
    mod without_tokens;
}

#[path = "web"]
mod on_actix {
    use crate::support::on_actix as framework;

    mod actix;
    mod actix_server;
    mod batches;
    mod changed_settings;
    mod cookies;
    mod errors;
    mod failing_store;
    mod fields;
    mod late;
    mod layers;
    mod lists;
    mod lazy;
    mod opting_out;
    mod signing_out;
    mod statuses;
    mod two_cookies;
    mod values;
}
