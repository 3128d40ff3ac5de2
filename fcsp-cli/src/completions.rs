//! `fcsp completions`: for shells.

use crate::exit::Outcome;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Write completions for a shell to stdout
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp completions bash > ~/.local/share/bash-completion/completions/fcsp
  fcsp completions zsh > ~/.zfunc/_fcsp
  fcsp completions fish > ~/.config/fish/completions/fcsp.fish")]
pub struct Args {
    /// Which shell
    shell: Shell,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    // Not straight to stdout: the generator panics when its reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "fcsp", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Outcome::Good)
}
