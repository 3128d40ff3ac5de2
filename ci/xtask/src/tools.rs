//! What tests need that no cargo builds: vendors' compilers and libraries, from Debian's archive. What is missing is installed
//! where that is permitted; else the tests that need it are skipped, and say so.

use std::path::Path;
use std::process::{Command, Stdio};

/// Something that tests need.
struct Tool {
    /// As people call it.
    name: &'static str,
    /// Whether it is there.
    is_there: fn() -> bool,
    /// Packages that bring it.
    packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "hipcc",
        is_there: || answers("hipcc", "--version"),
        packages: &["hipcc"],
    },
    Tool {
        name: "libamdhip64",
        is_there: || links("-lamdhip64"),
        packages: &["libamdhip64-dev"],
    },
    Tool {
        name: "the Level Zero loader and its headers",
        is_there: || links("-lze_loader"),
        packages: &["libze1", "libze-dev"],
    },
];

/// Installs what is missing, unless `keep_out`. Whatever happens the tests run: a tool that is not there is the reason why some
/// are skipped.
pub fn install_missing(keep_out: bool) {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.is_there)()).collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
    let names = names.join(", ");
    let Some(mut apt) = installer().filter(|_| !keep_out) else {
        println!(
            "not installed, and not to be installed from here: {names}; tests that need them are skipped"
        );
        return;
    };
    println!("installing what tests need: {names}");
    apt.args(missing.iter().flat_map(|tool| tool.packages));
    // What apt writes is the user's to read.
    let installed = apt.status().is_ok_and(|status| status.success());
    if !installed {
        println!("apt-get could not install {names}; tests that need them are skipped");
    }
}

/// `apt-get install`, by whoever may.
fn installer() -> Option<Command> {
    if !answers("apt-get", "--version") {
        return None;
    }
    let apt = ["apt-get", "install", "--yes", "--no-install-recommends"];
    let mut command = if is_root() {
        Command::new(apt[0])
    } else if Command::new("sudo")
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
    {
        // Without asking anybody for a password.
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", apt[0]]);
        sudo
    } else {
        return None;
    };
    command
        .args(&apt[1..])
        .env("DEBIAN_FRONTEND", "noninteractive");
    Some(command)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|it| it.uid() == 0)
}

/// Whether a program starts and ends well.
fn answers(program: &str, argument: &str) -> bool {
    let output = Command::new(program).arg(argument).output();
    output.is_ok_and(|it| it.status.success())
}

/// Whether the linker finds a library.
fn links(library: &str) -> bool {
    let mut cc = Command::new("cc");
    cc.args([
        "-x",
        "c",
        "-shared",
        "-o",
        "/dev/null",
        "/dev/null",
        library,
    ]);
    cc.output().is_ok_and(|it| it.status.success())
}
