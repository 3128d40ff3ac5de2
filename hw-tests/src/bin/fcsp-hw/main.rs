//! `fcsp-hw`: measures FCSP with real processes on a real, or simulated, device.
//!
//! Every tenant is an `fcsp-load` (or Python) process of its own, started as a user would start it:
//! natively, or with the preload library and its environment. What they print is laid over each
//! other on the one clock they share and held against the bars. This program links no part of FCSP
//! and never touches the device itself, so it cannot help, or disturb, what it measures.

mod analysis;
mod bench;
mod cast;
mod child;
mod cli;
mod date;
mod matrix;
mod mps;
mod node;
mod processors;
mod programs;
mod report;
mod result;
mod runner;
mod site;
mod suites;
mod tenant;
mod threads;
mod traces;

use clap::Parser;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    match cli::Cli::parse().command {
        cli::Command::List => {
            for suite in suites::ALL {
                let note = if suite.on_request {
                    " (only with --only)"
                } else {
                    ""
                };
                println!("{:10} {}{note}", suite.name, suite.about);
                let cases = (suite.cases)();
                if !cases.is_empty() {
                    println!("{:10} cases: {}", "", cases.join(", "));
                }
            }
            for devices in matrix::Matrix::read(None)?.not_run() {
                println!("{devices}");
            }
            Ok(ExitCode::SUCCESS)
        }
        cli::Command::Run(options) => cli::run(&options),
    }
}
