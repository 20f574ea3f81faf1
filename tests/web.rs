//! What a browser sees, through the real layer and router, with sessions in memory and in Redis.

mod support;

mod web {
    mod adapter;
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
}
