//! `cargo xtask`: the one door to everything a developer or CI does with this repository.
//!
//! One subcommand per file. A task never does by itself what cargo does: it calls cargo, and adds what cargo cannot
//! (library names and SONAMEs, an install tree, generated code that is compared with the headers it came from).

mod codegen;
mod workspace;

use clap::{Parser, Subcommand};

/// Build tasks of the FCSP workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Regenerate the vendor bindings from the vendors' headers.
    Codegen(codegen::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Codegen(args) => codegen::run(&args),
    }
}
