//! What a browser sees, through the real layer and router, with sessions in memory and in Redis.

mod support;

mod web {
    mod cookies;
    mod fields;
    mod lazy;
}
