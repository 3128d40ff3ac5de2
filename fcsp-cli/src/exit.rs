//! From a result to what the shell sees.

use std::process::ExitCode;

/// An error with an exit code of its own. Any other error is 1.
#[derive(Debug)]
pub struct WithCode {
    /// The exit code.
    pub code: u8,
    /// What happened.
    pub message: String,
}

impl std::fmt::Display for WithCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WithCode {}

/// What a subcommand found, when that is not an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Good,
    /// It did its work and found something wrong, which it has said already.
    Bad,
}

/// Says on stderr what went wrong, if anything did, and gives the exit code.
pub fn code(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::FAILURE,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fcsp: {error:#}");
            match error.downcast_ref::<WithCode>() {
                Some(with_code) => ExitCode::from(with_code.code),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether our reader (`head`, a pager) has gone: it has seen what it wanted.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
