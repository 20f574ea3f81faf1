//! The embedded store beside the bare map and the stores of others.

fn main() {}
