//! What nobody should send, set or configure, and what each gets.

mod support;

mod bad_inputs {
    mod bearer;
    mod configuration;
    mod cookies;
    mod fields;
    mod records;
    mod redis_url;
}
