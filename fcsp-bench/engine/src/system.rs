//! The systems that are compared: how a worker is started as a tenant of each.

use crate::driver::Vendor;
use crate::failure::Failure;
use fcsp_bench_report::model::SystemKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables of the environment.
pub type Variables = Vec<(OsString, OsString)>;

/// Where everything runs: what a worker is, and on whose driver.
#[derive(Clone, Debug)]
pub struct Site {
    /// Whose devices.
    pub vendor: Vendor,
    /// The program that is a worker for that vendor's devices when it is started with [`Site::arguments`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What makes a program find a simulated driver, if one is to be used.
    pub simulated: Option<Variables>,
    /// A directory in memory that is the run's own.
    pub scratch: PathBuf,
    /// Files of the vendor's libraries, where they are to be opened by name.
    pub libraries: Libraries,
}

/// The vendor's libraries that some metrics need. Those that are not named are looked for where the dynamic linker looks.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    /// NCCL, for collectives.
    pub nccl: Option<PathBuf>,
    /// cuBLAS, for matrix products.
    pub cublas: Option<PathBuf>,
}

/// A system.
#[derive(Clone, Debug)]
pub struct System {
    name: String,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    Native,
    /// Native under another name, which shows what the measurement itself does.
    Again,
    Fcsp {
        preload: Preload,
        mode: Mode,
    },
    Peer(Peer),
}

/// How FCSP comes into a program.
#[derive(Clone, Debug)]
pub struct Preload {
    /// Its library for the vendor's interface, put into LD_PRELOAD.
    pub library: PathBuf,
    /// What else has to be set for it.
    pub variables: Variables,
}

/// A way in which FCSP shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody has more than the limit.
    Strict,
    /// What is idle is lent.
    Balanced,
    /// As balanced, with rounds that follow contention.
    Adaptive,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Balanced, Self::Adaptive];

    fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Balanced => "balanced",
            Self::Adaptive => "adaptive",
        }
    }
}

/// Another system, as a file describes it.
///
/// ```toml
/// preload = "/usr/lib/libvgpu.so"      # put into LD_PRELOAD; optional
/// hard_limit = true                    # a lone tenant has no more than its limit; false if not given
///
/// [environment]                        # of every tenant
/// CUDA_DEVICE_SM_LIMIT = "{compute_percent}"
/// CUDA_DEVICE_MEMORY_LIMIT = "{memory_mib}m"
/// CUDA_DEVICE_MEMORY_SHARED_CACHE = "{directory}/cache"
/// ```
///
/// `{compute_percent}`, `{memory_bytes}`, `{memory_mib}`, `{tenant}` and `{directory}` (one of its own for each group of
/// tenants that know of each other) are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// A library for `LD_PRELOAD`.
    pub preload: Option<PathBuf>,
    /// Whether a lone tenant has no more than its limit.
    #[serde(default)]
    pub hard_limit: bool,
    /// Variables of every tenant.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// What is wrong with a peer's file.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A placeholder that means nothing.
    #[error("{path}: {variable} has {placeholder}, which stands for nothing; there are {known}", known = PLACEHOLDERS.join(", "))]
    Placeholder {
        /// The file.
        path: PathBuf,
        /// In which variable.
        variable: String,
        /// Which.
        placeholder: String,
    },
    /// The library is not there.
    #[error("{path}: preload names {library}, which is not there")]
    Library {
        /// The file.
        path: PathBuf,
        /// The library.
        library: PathBuf,
    },
}

const PLACEHOLDERS: [&str; 5] = [
    "{compute_percent}",
    "{memory_bytes}",
    "{memory_mib}",
    "{tenant}",
    "{directory}",
];

/// A process with limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    /// Whose limits; processes of one name share them.
    pub name: String,
    /// Entitlement to compute.
    pub compute_percent: u32,
    /// Memory limit.
    pub memory_bytes: u64,
    /// Who goes first where a system knows priorities.
    pub priority: Priority,
}

/// Who goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Before the others.
    High,
    /// Like everybody.
    #[default]
    Normal,
    /// After the others.
    Low,
}

impl System {
    /// The device without any system.
    pub fn native() -> Self {
        Self {
            name: "native".into(),
            how: How::Native,
        }
    }

    /// The device without any system once more, measured as if it were one: every ratio should be 1.
    pub fn native_again() -> Self {
        Self {
            name: "native-again".into(),
            how: How::Again,
        }
    }

    /// FCSP, with its preload library.
    pub fn fcsp(mode: Mode, preload: &Preload) -> Self {
        Self {
            name: format!("fcsp-{}", mode.word()),
            how: How::Fcsp {
                preload: preload.clone(),
                mode,
            },
        }
    }

    /// Another one.
    ///
    /// # Errors
    /// The file cannot be read or is not what [`Peer`] describes.
    pub fn peer(name: &str, path: &Path) -> Result<Self, PeerError> {
        let text = std::fs::read_to_string(path).map_err(|source| PeerError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let peer: Peer = toml::from_str(&text).map_err(|source| PeerError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        if let Some(library) = peer.preload.as_ref().filter(|library| !library.exists()) {
            return Err(PeerError::Library {
                path: path.to_owned(),
                library: library.clone(),
            });
        }
        for (variable, value) in &peer.environment {
            if let Some(placeholder) = unknown_placeholder(value) {
                return Err(PeerError::Placeholder {
                    path: path.to_owned(),
                    variable: variable.clone(),
                    placeholder,
                });
            }
        }
        Ok(Self {
            name: name.to_owned(),
            how: How::Peer(peer),
        })
    }

    /// What it is called in reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind it is.
    pub fn kind(&self) -> SystemKind {
        match self.how {
            How::Native => SystemKind::Native,
            How::Fcsp { .. } => SystemKind::Fcsp,
            How::Again | How::Peer(_) => SystemKind::Peer,
        }
    }

    /// Whether it is none, so that there are no limits.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.how, How::Native | How::Again)
    }

    /// Whether it is FCSP, whose tenants' limits can be changed while they run.
    pub(crate) fn is_fcsp(&self) -> bool {
        matches!(self.how, How::Fcsp { .. })
    }

    /// Whether a lone tenant has no more than its limit.
    pub(crate) fn has_hard_limit(&self) -> bool {
        match &self.how {
            How::Native | How::Again => false,
            How::Fcsp { mode, .. } => *mode == Mode::Strict,
            How::Peer(peer) => peer.hard_limit,
        }
    }

    /// One line for people.
    pub(crate) fn description(&self) -> String {
        match &self.how {
            How::Native => "the driver alone, no limits".into(),
            How::Again => "the driver alone once more: every ratio should be 1".into(),
            How::Fcsp { mode, .. } => match mode {
                Mode::Strict => "nobody has more than the limit".into(),
                Mode::Balanced => "a lone tenant may have the whole device".into(),
                Mode::Adaptive => "as balanced, with rounds that follow contention".into(),
            },
            How::Peer(peer) => peer.description.clone(),
        }
    }

    /// A worker as a tenant of this system. Tenants that share `directory` know of each other.
    pub(crate) fn command(&self, site: &Site, tenant: &Tenant, directory: &Path) -> Command {
        let mut command = Command::new(&site.program);
        command.args(&site.arguments);
        for (name, _) in std::env::vars_os() {
            if is_setting(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        // What is preloaded into the run itself is no part of any system.
        command.env_remove("LD_PRELOAD");
        if std::env::var_os("CUDA_CACHE_PATH").is_none() {
            // Kernels are compiled for the device once, wherever the user's home is and whether it can be written.
            command.env("CUDA_CACHE_PATH", site.scratch.join("compiled"));
        }
        let libraries = &site.libraries;
        for (variable, file) in [
            ("FCSP_BENCH_NCCL", &libraries.nccl),
            ("FCSP_BENCH_CUBLAS", &libraries.cublas),
        ] {
            if let Some(file) = file {
                command.env(variable, file);
            }
        }
        if site.vendor == Vendor::Intel {
            // How much memory is free is Sysman's to tell, which older loaders have only where this is set.
            command.env("ZES_ENABLE_SYSMAN", "1");
        }
        if let Some(variables) = &site.simulated {
            command.envs(variables.iter().cloned());
            // One device for all systems, whose calls take the time they take on a real one.
            command.env("FCSP_SIM_DIR", site.scratch.join("simulated"));
            command.env("FCSP_SIM_CPU_COST", "1");
        }
        match &self.how {
            How::Native | How::Again => {}
            How::Fcsp { preload, mode } => {
                command
                    .envs(preload.variables.iter().cloned())
                    .env("LD_PRELOAD", &preload.library)
                    .env("FCSP_RUN_DIR", directory)
                    .env("FCSP_POLICY", directory.join("policy.toml"))
                    .env("FCSP_TENANT", &tenant.name)
                    .env("FCSP_FAIL", "closed")
                    .env("BUD_ISOLATION_MODE", mode.word())
                    .env("BUD_SM_LIMIT", format!("{}%", tenant.compute_percent))
                    .env("BUD_MEMORY_LIMIT", tenant.memory_bytes.to_string());
                match tenant.priority {
                    Priority::High => command.env("BUD_PRIORITY", "high"),
                    Priority::Normal => &mut command,
                    Priority::Low => command.env("BUD_PRIORITY", "low"),
                };
            }
            How::Peer(peer) => {
                if let Some(library) = &peer.preload {
                    command.env("LD_PRELOAD", library);
                }
                for (name, value) in &peer.environment {
                    command.env(name, filled(value, tenant, directory));
                }
            }
        }
        command
    }
}

impl System {
    /// Changes the compute of a tenant while it runs; only for FCSP.
    pub(crate) fn change(
        &self,
        site: &Site,
        tenant: &str,
        directory: &Path,
        percent: u32,
    ) -> Result<(), Failure> {
        let mut command = Command::new(&site.program);
        command
            .args([
                "set",
                tenant,
                "--compute",
                &format!("{percent}%"),
                "--run-dir",
            ])
            .arg(directory);
        let output = command
            .output()
            .map_err(|error| Failure::failed(format!("fcsp set cannot be started: {error}")))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Failure::failed(format!(
                "fcsp set failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
        }
    }
}

/// Whether a variable of the operator's would change what tenants of the run get.
fn is_setting(name: &str) -> bool {
    [
        "BUD_",
        "FCSP_",
        "CUDA_DEVICE_SM_LIMIT",
        "CUDA_DEVICE_MEMORY_LIMIT",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix) && !name.starts_with("FCSP_SIM_"))
}

fn filled(value: &str, tenant: &Tenant, directory: &Path) -> String {
    let values = [
        tenant.compute_percent.to_string(),
        tenant.memory_bytes.to_string(),
        (tenant.memory_bytes >> 20).to_string(),
        tenant.name.clone(),
        directory.to_string_lossy().into_owned(),
    ];
    PLACEHOLDERS
        .iter()
        .zip(values)
        .fold(value.to_owned(), |text, (placeholder, value)| {
            text.replace(placeholder, &value)
        })
}

fn unknown_placeholder(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some(at) = rest.find('{') {
        let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
        let placeholder = &rest[at..end];
        if !PLACEHOLDERS.contains(&placeholder) {
            return Some(placeholder.to_owned());
        }
        rest = &rest[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("peer.toml");
        std::fs::write(&path, text).expect("written");
        (directory, path)
    }

    #[test]
    fn a_peers_limits_are_put_where_its_file_says() {
        let (directory, path) = file(
            "[environment]\nLIMIT = \"{memory_mib}m\"\nSM = \"{compute_percent}\"\nCACHE = \"{directory}/{tenant}\"\n",
        );
        let system = System::peer("other", &path).expect("a good file");
        let site = Site {
            vendor: Vendor::Nvidia,
            program: "true".into(),
            arguments: Vec::new(),
            simulated: None,
            scratch: directory.path().into(),
            libraries: Libraries::default(),
        };
        let tenant = Tenant {
            name: "a".into(),
            compute_percent: 25,
            memory_bytes: 3 << 30,
            priority: Priority::Normal,
        };
        let command = system.command(&site, &tenant, Path::new("/x"));
        let get = |name: &str| {
            command
                .get_envs()
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value)
                .map(|value| value.to_string_lossy().into_owned())
        };
        assert_eq!(get("LIMIT").as_deref(), Some("3072m"));
        assert_eq!(get("SM").as_deref(), Some("25"));
        assert_eq!(get("CACHE").as_deref(), Some("/x/a"));
        assert_eq!(get("LD_PRELOAD"), None);
    }

    #[test]
    fn what_is_wrong_with_a_peers_file_is_said_with_its_place() {
        let error = |text: &str| {
            let (_directory, path) = file(text);
            System::peer("other", &path)
                .expect_err("a bad file")
                .to_string()
        };
        assert!(error("preload = 3").contains("peer.toml: TOML parse error at line 1"));
        assert!(error("prelaod = \"x\"").contains("unknown field `prelaod`"));
        assert!(
            error("[environment]\nA = \"{memory}\"")
                .contains("A has {memory}, which stands for nothing")
        );
        assert!(error("preload = \"/nowhere/x.so\"").contains("which is not there"));
        let missing = System::peer("other", Path::new("/nowhere/peer.toml")).expect_err("no file");
        assert!(
            missing.to_string().contains("/nowhere/peer.toml"),
            "{missing}"
        );
    }
}
