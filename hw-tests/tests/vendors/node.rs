//! A machine with one simulated device of each vendor, programs on it, and what `fcsp status` says.

use fcsp_hw_tests::clock::{NS_PER_MS, now_ns, unix_now_ms};
use fcsp_hw_tests::record::{Record, Summary};
use fcsp_hw_tests::stats::Cumulative;
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tempfile::TempDir;

/// A gibibyte.
pub const GIB: u64 = 1 << 30;
/// What a simulated device does in a microsecond: nobody has to measure it beside others.
const ITERS_PER_US: &str = "100";
/// Longer than any program is silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Work right after the start is not judged: programs allocate first, and turns begin.
const SETTLE_NS: u64 = 1_000_000_000;
/// Whose device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    Nvidia,
    Amd,
    Intel,
}

impl Vendor {
    /// As `fcsp` writes it.
    fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }
}

/// The install tree that `cargo xtask build` makes, or the one that `FCSP_INSTALL` names.
fn tree() -> PathBuf {
    let tree = match std::env::var_os("FCSP_INSTALL") {
        Some(tree) => PathBuf::from(tree),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fcsp"),
    };
    let library = tree.join("lib/libfcsp-hip.so");
    assert!(
        library.exists(),
        "{} is missing: this test needs the install tree; cargo xtask build makes it, and cargo \
         xtask test does so first",
        library.display()
    );
    tree
}

/// What compiles `source` to `to`, for devices of that vendor.
fn compiler(vendor: Vendor, defines: &[&str]) -> Command {
    let (name, arguments) = match vendor {
        Vendor::Amd => ("hipcc", "--offload-arch=gfx90a -std=c++17 -O2 -pthread"),
        _ => ("c++", "-std=c++17 -O2 -pthread"),
    };
    let mut compiler = Command::new(name);
    compiler.args(arguments.split(' ')).args(defines);
    compiler
}

/// A program of `hw-tests`, compiled; nothing where that is not possible.
fn compile(vendor: Vendor, source: &str, defines: &[&str], libraries: &[&str]) -> Option<TempDir> {
    let directory = TempDir::new().expect("a temporary directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut compiler = compiler(vendor, defines);
    compiler.args([Path::new("-o"), &directory.path().join("program"), &source]);
    match compiler.args(libraries).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        other => {
            let compiled = other.expect("it starts");
            let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
            let missing = said.contains("level_zero") || said.contains("ze_loader");
            assert!(compiled.status.success() || missing, "{said}");
            compiled.status.success().then_some(directory)
        }
    }
}

/// By which way a Level Zero program comes to the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Linked to it.
    Linked,
    /// It opens it and looks functions up.
    Opened,
    /// It carries the loader's static part within itself, or what stands for it.
    Carried,
    /// It is linked to the loader's static library, which is in the directory that `FCSP_ZE_STATIC_DIR` names, with
    /// `include/level_zero` and `lib`: cmake's `-DBUILD_STATIC=1` of the loader's source makes it.
    Static,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Linked, Self::Opened, Self::Carried, Self::Static];

    fn compile(self) -> Option<TempDir> {
        let (defines, libraries): (&[&str], &[&str]) = match self {
            Self::Linked => (&[], &["-lze_loader"]),
            Self::Opened => (&["-DOPENED"], &["-ldl"]),
            Self::Carried => (&["-DCARRIED"], &["-ldl"]),
            Self::Static => {
                let directory = std::env::var("FCSP_ZE_STATIC_DIR").ok()?;
                let include = format!("-I{directory}/include");
                let libraries = ["ze_loader", "level_zero_utils"]
                    .map(|name| format!("{directory}/lib/lib{name}.a"));
                let libraries = [&*libraries[0], &*libraries[1], "-ldl"];
                return compile(Vendor::Intel, "ze/load.cpp", &[&include], &libraries);
            }
        };
        compile(Vendor::Intel, "ze/load.cpp", defines, libraries)
    }
}

/// The load program for devices of a vendor, and of its way; nothing where there is no compiler for it.
fn load_program(vendor: Vendor, way: Way) -> Option<PathBuf> {
    static HIP: OnceLock<Option<TempDir>> = OnceLock::new();
    static ZE: [OnceLock<Option<TempDir>>; 4] = [const { OnceLock::new() }; 4];
    let built = match vendor {
        Vendor::Nvidia => return Some(tree().join("bin/fcsp-load")),
        Vendor::Amd => HIP.get_or_init(|| compile(vendor, "hip/load.cpp", &[], &[])),
        Vendor::Intel => ZE[way as usize].get_or_init(|| way.compile()),
    };
    Some(built.as_ref()?.path().join("program"))
}

/// The machine.
pub struct Node {
    /// Where its programs meet, and its devices are.
    pub run_dir: TempDir,
    tree: PathBuf,
    /// How programs come to Level Zero.
    way: Way,
    /// More of the environment of `fcsp` and of its programs.
    variables: Vec<(&'static str, String)>,
}

impl Node {
    /// One that nobody uses yet; nothing where programs for that vendor's devices cannot be compiled.
    pub fn with(vendor: Vendor) -> Option<Self> {
        Self::with_way(vendor, Way::Linked)
    }

    /// One whose Level Zero programs come to the loader by that way.
    pub fn with_way(vendor: Vendor, way: Way) -> Option<Self> {
        load_program(vendor, way)?;
        // In memory, where devices can reach what is in it.
        let run_dir = TempDir::new_in("/dev/shm").expect("shared memory");
        Some(Self {
            run_dir,
            tree: tree(),
            way,
            variables: Vec::new(),
        })
    }

    /// Sets a variable for `fcsp` and for its programs.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.push((name, value.into()));
    }

    /// The simulated library at that place under `lib/sim`.
    pub fn simulated(&self, library: &str) -> PathBuf {
        self.tree.join("lib/sim").join(library)
    }

    fn fcsp(&self) -> Command {
        let mut command = Command::new(self.tree.join("bin/fcsp"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("BUD_") || name.starts_with("FCSP_") || name == "LD_PRELOAD" {
                command.env_remove(name);
            }
        }
        command.env("FCSP_RUN_DIR", self.run_dir.path());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Starts the load program of `vendor` as a tenant, to wait for its beginning and then to work for so many seconds.
    pub fn start(
        &self,
        vendor: Vendor,
        tenant: &str,
        limits: &[&str],
        (mode, seconds): (&str, f64),
        more: &[(&str, String)],
    ) -> Program {
        let mut command = self.run(vendor, tenant, limits);
        command.args([mode, "--start-at", "stdin"]);
        if matches!(mode, "hog" | "saturate" | "decode") {
            command.args(["--iters-per-us", ITERS_PER_US]);
        }
        for (name, value) in more {
            command.args([format!("--{name}"), value.clone()]);
        }
        Program::start(command, seconds)
    }

    fn run(&self, vendor: Vendor, tenant: &str, limits: &[&str]) -> Command {
        let mut command = self.fcsp();
        command.arg("run");
        command.arg(format!("--simulated={}", vendor.name()));
        command.args(["--tenant", tenant]).args(limits).arg("--");
        command.arg(load_program(vendor, self.way).expect("it was compiled"));
        command
    }

    /// The identity of a vendor's device.
    pub fn device_of(&self, vendor: Vendor) -> String {
        let mut program = self.run(vendor, "first", &[]);
        let output = program.args(["idle", "--seconds", "0"]).output();
        assert!(output.expect("it starts").status.success());
        let status = self.status();
        let device = status.device(vendor).expect("it has a region");
        device.0["id"].as_str().expect("text").to_owned()
    }

    /// What `fcsp status` says, with the management libraries of all vendors.
    pub fn status(&self) -> Status {
        let sim = self.tree.join("lib/sim");
        let paths = ["", "amd", "intel"].map(|vendor| sim.join(vendor).display().to_string());
        let output = self
            .fcsp()
            .args(["status", "--json", "--interval", "0.05"])
            .env("LD_LIBRARY_PATH", paths.join(":"))
            .output()
            .expect("fcsp starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Status(serde_json::from_slice(&output.stdout).expect("JSON"))
    }
}

/// What `fcsp status --json` wrote.
#[derive(Debug)]
pub struct Status(Value);

/// One device in it.
pub struct Device<'a>(pub &'a Value);

/// One tenant in it.
pub struct Tenant<'a>(pub &'a Value);

impl Status {
    fn region(&self, vendor: Vendor) -> Option<&Value> {
        let regions = self.0["regions"].as_array().expect("a list");
        regions
            .iter()
            .find(|region| region["device"]["vendor"] == vendor.name())
    }

    /// The device of that vendor, if its region is there.
    pub fn device(&self, vendor: Vendor) -> Option<Device<'_>> {
        Some(Device(&self.region(vendor)?["device"]))
    }

    /// A tenant on the device of that vendor, if it is there.
    pub fn find_tenant(&self, vendor: Vendor, name: &str) -> Option<Tenant<'_>> {
        let tenants = self.region(vendor)?["tenants"].as_array().expect("a list");
        tenants.iter().find(|it| it["name"] == name).map(Tenant)
    }

    /// A tenant that must be there.
    pub fn tenant(&self, vendor: Vendor, name: &str) -> Tenant<'_> {
        let found = self.find_tenant(vendor, name);
        found.unwrap_or_else(|| panic!("no {name} on {vendor:?}: {self:?}"))
    }
}

impl Device<'_> {
    /// Bytes in use, as the management library says.
    pub fn driver_used_bytes(&self) -> u64 {
        let used = self.0["driver_used_bytes"].as_u64();
        used.unwrap_or_else(|| panic!("the driver does not answer: {}", self.0))
    }
}

impl Tenant<'_> {
    /// A field that is a number.
    pub fn number(&self, field: &str) -> f64 {
        let number = self.0[field].as_f64();
        number.unwrap_or_else(|| panic!("no number {field}: {}", self.0))
    }
}

/// A stretch of time, nanoseconds of the monotonic clock.
pub type Span = (u64, u64);

/// A running load program. It ends with this value, at the latest.
pub struct Program {
    child: Child,
    seconds: f64,
    records: Receiver<Record>,
    samples: Vec<(u64, u64)>,
    summary: Option<Summary>,
    /// Whether it has said all that it will.
    silent: bool,
}

impl Program {
    fn start(mut command: Command, seconds: f64) -> Self {
        let mut child = command
            .args(["--seconds", &seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (send, records) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // A killed program's last line may be cut.
                let Ok(record) = serde_json::from_str(&line) else {
                    continue;
                };
                if send.send(record).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            seconds,
            records,
            samples: Vec::new(),
            summary: None,
            silent: false,
        }
    }

    /// The next thing that it says, noted; nothing if there will be none.
    fn hear(&mut self) -> Option<Record> {
        match self.records.recv_timeout(PATIENCE) {
            Ok(record) => {
                match &record {
                    Record::Sample { t_ns, work_ns } => self.samples.push((*t_ns, *work_ns)),
                    Record::Summary(summary) => self.summary = Some(summary.clone()),
                    _ => {}
                }
                Some(record)
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.silent = true;
                None
            }
            Err(RecvTimeoutError::Timeout) => panic!("a program says nothing"),
        }
    }

    /// Waits until all are ready and lets them begin in the same moment. Gives when what they get is to be judged.
    pub fn begin_together(programs: &mut [Self]) -> Span {
        const DELAY_MS: u64 = 300;
        for program in programs.iter_mut() {
            let first = program.hear();
            assert!(matches!(first, Some(Record::Header(_))), "{first:?}");
        }
        let (begin_ns, unix_ms) = (now_ns() + DELAY_MS * NS_PER_MS, unix_now_ms() + DELAY_MS);
        let seconds = programs.iter().map(|it| it.seconds);
        let shortest_s = seconds.fold(f64::INFINITY, f64::min);
        for program in programs {
            let stdin = program.child.stdin.as_mut().expect("piped");
            writeln!(stdin, "{unix_ms}").expect("it waits");
        }
        let end_ns = begin_ns + (shortest_s * 1e9) as u64;
        (begin_ns + SETTLE_NS, end_ns.saturating_sub(SETTLE_NS / 4))
    }

    /// Whether it goes on.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// What it got done, over time, until `t_ns` at least or its end.
    pub fn work(&mut self, t_ns: u64) -> Cumulative {
        while !self.silent && self.samples.last().is_none_or(|last| last.0 < t_ns) {
            self.hear();
        }
        Cumulative::new(self.samples.iter().copied())
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Waits for its end and gives what it reported.
    pub fn finish(mut self) -> Summary {
        while !self.silent {
            self.hear();
        }
        let status = self.child.wait().expect("it has ended");
        assert!(status.success(), "{status}");
        self.summary.take().expect("a program that ends reports")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first one's share of what both got, in percent.
pub fn percent(first: &Cumulative, second: &Cumulative, (from_ns, to_ns): Span) -> f64 {
    let [first, second] = [first, second].map(|work| work.rate(from_ns, to_ns));
    first / (first + second) * 100.0
}
