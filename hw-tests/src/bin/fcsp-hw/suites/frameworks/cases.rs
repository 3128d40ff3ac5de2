//! The cases: what runs, in which environment, and what is asked of it.

use std::time::Duration;

use crate::site::Vendor;

/// What becomes of a case's speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Held against the bar: the device holds the program up, so that two processes of it are alike.
    Judged,
    /// Told without a bar: the processor holds it up, and two processes of one program differ by more
    /// than FCSP may cost.
    Told,
    /// Not asked: it has no step that repeats.
    None,
}

/// A program, run natively and under FCSP.
#[derive(Debug, Clone)]
pub struct Case {
    /// For `--case`, and its tenant's name.
    pub name: &'static str,
    /// In results. Begins with the framework's name.
    pub title: &'static str,
    /// One of the scripts of `python/`.
    pub script: &'static str,
    /// Its arguments.
    pub args: &'static [&'static str],
    /// Environment of both.
    pub env: &'static [(&'static str, &'static str)],
    /// Environment of the native one, which has no quota to keep it small.
    pub native_env: &'static [(&'static str, &'static str)],
    /// Speed.
    pub speed: Speed,
    /// Pairs of processes that are compared for it.
    pub pairs: usize,
    /// Whether each pair takes more than the usual turns until they tell its ratio well enough.
    pub until_steady: bool,
    /// Quota on each device that the program uses, for the questions about memory. None: not asked.
    pub quotas: &'static [u64],
    /// Whether it is of use on the simulated device, which has the driver's interface and no kernels.
    pub simulated: bool,
    /// Whether it runs on AMD's devices as well.
    pub hip: bool,
    /// Whether it is for Intel's devices, and for no others.
    pub ze: bool,
    /// How many devices it uses.
    pub devices: usize,
    /// The bound on each answer. A question takes seconds; this is for programs that hang.
    pub answer_within: Duration,
}

const GIB: u64 = 1 << 30;
const QUOTA: &[u64] = &[8 * GIB];

impl Case {
    /// Whether it is of use on that vendor's devices.
    pub fn is_for(&self, vendor: Vendor) -> bool {
        match vendor {
            Vendor::Nvidia => !self.ze,
            Vendor::Amd => self.hip,
            Vendor::Intel => self.ze,
        }
    }

    /// A case that is compared with native and asked nothing else.
    pub const fn new(
        name: &'static str,
        title: &'static str,
        script: &'static str,
        args: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            title,
            script,
            args,
            env: &[],
            native_env: &[],
            speed: Speed::None,
            pairs: 1,
            until_steady: false,
            quotas: &[],
            simulated: false,
            hip: false,
            ze: false,
            devices: 1,
            answer_within: Duration::from_secs(60),
        }
    }
}

/// For programs that the processor holds up in part.
const SEVERAL_PAIRS: usize = 5;
const TORCH: &str = "compat_torch.py";
const TORCH_PROCESSES: &str = "compat_torch_processes.py";
/// What the scripts need to give the same bits twice.
const REPEATABLE: (&str, &str) = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
/// XLA times algorithms as it compiles and takes the fastest, which need not be the same in two processes of one
/// program: then their speeds would be compared, and not what FCSP costs. `jax-platform` lets it choose.
const SAME_ALGORITHMS: (&str, &str) = (
    "XLA_FLAGS",
    "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false",
);
/// Multicast over NVLink stays off: it is not for hosts that others use too.
const NO_MULTICAST: (&str, &str) = ("NCCL_NVLS_ENABLE", "0");

/// All cases, in the order in which they run.
pub const ALL: &[Case] = &[
    Case {
        speed: Speed::Told,
        quotas: QUOTA,
        simulated: true,
        ..Case::new(
            "driver",
            "CUDA driver through ctypes",
            "compat_driver.py",
            &[],
        )
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Judged,
        pairs: SEVERAL_PAIRS,
        quotas: QUOTA,
        hip: true,
        ..Case::new("torch-eager", "PyTorch eager training", TORCH, &["eager"])
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Told,
        quotas: QUOTA,
        hip: true,
        ..Case::new(
            "torch-compile",
            "PyTorch torch.compile",
            TORCH,
            &["compile"],
        )
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Told,
        quotas: QUOTA,
        hip: true,
        ..Case::new(
            "torch-reduce-overhead",
            "PyTorch torch.compile, mode reduce-overhead",
            TORCH,
            &["reduce-overhead"],
        )
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Judged,
        quotas: QUOTA,
        hip: true,
        ..Case::new("torch-graph", "PyTorch CUDAGraph", TORCH, &["graph"])
    },
    Case {
        env: &[
            REPEATABLE,
            ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
        ],
        speed: Speed::Judged,
        pairs: SEVERAL_PAIRS,
        quotas: QUOTA,
        hip: true,
        ..Case::new(
            "torch-expandable",
            "PyTorch expandable_segments",
            TORCH,
            &["eager"],
        )
    },
    Case {
        env: &[
            REPEATABLE,
            ("PYTORCH_CUDA_ALLOC_CONF", "backend:cudaMallocAsync"),
        ],
        speed: Speed::Judged,
        quotas: QUOTA,
        ..Case::new(
            "torch-malloc-async",
            "PyTorch backend cudaMallocAsync",
            TORCH,
            &["eager"],
        )
    },
    Case {
        quotas: QUOTA,
        hip: true,
        ..Case::new("torch-mempool", "PyTorch MemPool", TORCH, &["mempool"])
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Judged,
        hip: true,
        ..Case::new(
            "torch-libraries",
            "PyTorch cuBLAS, cuDNN, cuFFT, cuSPARSE",
            TORCH,
            &["libraries"],
        )
    },
    Case {
        hip: true,
        ..Case::new("torch-profiler", "PyTorch profiler", TORCH, &["profiler"])
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Judged,
        hip: true,
        ..Case::new("torchvision", "torchvision ResNet", TORCH, &["resnet"])
    },
    Case {
        env: &[REPEATABLE],
        speed: Speed::Told,
        hip: true,
        ..Case::new(
            "transformers",
            "transformers generate",
            TORCH,
            &["transformers"],
        )
    },
    Case {
        hip: true,
        ..Case::new(
            "torch-dataloader",
            "PyTorch DataLoader, fork and spawn, pinned memory",
            TORCH_PROCESSES,
            &["dataloader"],
        )
    },
    Case {
        quotas: QUOTA,
        hip: true,
        ..Case::new(
            "torch-ipc",
            "PyTorch CUDA tensors between processes",
            TORCH_PROCESSES,
            &["ipc"],
        )
    },
    Case {
        speed: Speed::Judged,
        hip: true,
        ..Case::new("triton", "Triton", "compat_triton.py", &[])
    },
    Case {
        env: &[("XLA_PYTHON_CLIENT_ALLOCATOR", "platform")],
        speed: Speed::Told,
        quotas: QUOTA,
        ..Case::new(
            "jax-platform",
            "JAX, platform allocator",
            "compat_jax.py",
            &[],
        )
    },
    Case {
        speed: Speed::Judged,
        quotas: QUOTA,
        ..Case::new("cupy", "CuPy", "compat_cupy.py", &["pool"])
    },
    Case {
        speed: Speed::Told,
        quotas: QUOTA,
        ..Case::new(
            "cupy-async",
            "CuPy MemoryAsyncPool",
            "compat_cupy.py",
            &["async"],
        )
    },
    Case {
        speed: Speed::Told,
        quotas: QUOTA,
        ..Case::new("numba", "Numba", "compat_numba.py", &[])
    },
    Case {
        env: &[NO_MULTICAST],
        devices: 2,
        hip: true,
        ..Case::new(
            "nccl",
            "PyTorch NCCL all-reduce on two devices",
            TORCH_PROCESSES,
            &["nccl"],
        )
    },
    Case {
        quotas: &[8 * GIB, 4 * GIB],
        devices: 2,
        hip: true,
        ..Case::new(
            "torch-two-devices",
            "PyTorch on two devices with different quotas",
            TORCH_PROCESSES,
            &["two-devices"],
        )
    },
    Case {
        speed: Speed::Told,
        quotas: QUOTA,
        simulated: true,
        ze: true,
        ..Case::new("sycl", "SYCL through dpctl", "compat_sycl.py", &[])
    },
    Case {
        speed: Speed::Told,
        quotas: QUOTA,
        ze: true,
        ..Case::new(
            "torch-xpu",
            "PyTorch XPU training",
            "compat_torch_xpu.py",
            &[],
        )
    },
    // Last, since it takes longest.
    Case {
        env: &[("XLA_PYTHON_CLIENT_PREALLOCATE", "true"), SAME_ALGORITHMS],
        // Three quarters of the whole device otherwise, beside which nobody else has room.
        native_env: &[("XLA_PYTHON_CLIENT_MEM_FRACTION", ".08")],
        speed: Speed::Judged,
        pairs: SEVERAL_PAIRS,
        until_steady: true,
        quotas: QUOTA,
        ..Case::new("jax", "JAX, preallocating", "compat_jax.py", &[])
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_titles_are_unique() {
        for (at, case) in ALL.iter().enumerate() {
            let twice = |it: &Case| it.name == case.name || it.title == case.title;
            assert!(!ALL[..at].iter().any(twice), "{} is there twice", case.name);
        }
    }

    #[test]
    fn a_case_has_a_quota_for_each_device_or_none() {
        for case in ALL {
            let quotas = case.quotas.len();
            assert!(quotas == 0 || quotas == case.devices, "{}", case.name);
        }
    }

    #[test]
    fn one_case_at_least_runs_without_a_device() {
        for vendor in [Vendor::Nvidia, Vendor::Intel] {
            let runs = |case: &Case| case.simulated && case.is_for(vendor);
            assert!(ALL.iter().any(runs), "{vendor:?}");
        }
    }
}
