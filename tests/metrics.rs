//! What a recorder is told, through the real layer and router, and what a trace shows.

mod support;

mod metrics {
    mod counted;
    mod heard;
    mod failing;
    mod names;
    mod traced;
    mod unreadable;
}
