//! `cargo xtask`: the one door to everything a developer or CI does with this repository.
//!
//! One subcommand per file. A task never redoes what cargo does: it calls cargo, and adds what cargo cannot (library
//! names, an install tree, generated code that is compared with the headers it came from).

mod bench;
mod build;
mod codegen;
mod demo;
mod hw;
mod test;
mod tools;
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
    /// Build programs and libraries and install them into target/fcsp.
    Build(build::Args),
    /// Build, then run `fcsp demo` with the arguments given.
    Demo(demo::Args),
    /// Build, then run every test that needs no hardware, loom models included.
    Test(test::Args),
    /// Regenerate the vendor bindings from the vendors' headers.
    Codegen(codegen::Args),
    /// Build, then run the hardware suites with the arguments given.
    Hw(hw::Args),
    /// Run the benchmarks that need no hardware.
    Bench(bench::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Build(args) => build::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Codegen(args) => codegen::run(&args),
        Task::Hw(args) => hw::run(&args),
        Task::Bench(args) => bench::run(&args),
    }
}
