//! The `fcsp` command.
fn main() {}
