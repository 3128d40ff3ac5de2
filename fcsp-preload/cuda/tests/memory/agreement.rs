//! Does what the tenant is charged agree with what the driver says the process uses, whatever the
//! program does? Random programs, with the device's own count as the judge.

use crate::support::{CONTEXT_BYTES, Library, MIB, Program, TENANT};
use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUarray_format, CUcontext, CUmemAllocationProp, CUmemLocationType,
    CUmemPool_attribute, CUmemPoolProps, CUmemoryPool, CUresult, CUstream, nvmlProcessInfo_t,
    nvmlReturn_t,
};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

const STEPS: u32 = 400;

/// A small generator (xorshift, 64 bits): a failure prints its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let count = from.len() as u64;
        (count > 0).then(|| from.swap_remove(self.below(count) as usize))
    }
}

/// What a program holds.
#[derive(Default)]
struct Held {
    plain: Vec<u64>,
    ordered: Vec<u64>,
    arrays: Vec<usize>,
    handles: Vec<u64>,
    mappings: Vec<(u64, usize)>,
    pools: Vec<usize>,
    streams: Vec<usize>,
}

impl Held {
    fn step(&mut self, cuda: &Library, random: &mut Random) {
        let mib = 2 * (1 + random.below(8));
        let bytes = (mib * MIB) as usize;
        match random.below(17) {
            0 | 1 => self.plain.push(cuda.alloc_mib(mib)),
            2 => {
                if let Some(address) = random.take(&mut self.plain) {
                    ok!(cuda, cuMemFree_v2(address));
                }
            }
            3 | 4 => {
                let mut address = 0;
                let stream = self.stream(cuda, random);
                ok!(cuda, cuMemAllocAsync(&mut address, bytes, stream));
                self.ordered.push(address);
            }
            5 => {
                if let Some(address) = random.take(&mut self.ordered) {
                    let stream = self.stream(cuda, random);
                    ok!(cuda, cuMemFreeAsync(address, stream));
                }
            }
            6 => {
                let descriptor = CUDA_ARRAY_DESCRIPTOR {
                    Width: 1024,
                    Height: 128 * mib as usize,
                    Format: CUarray_format::CU_AD_FORMAT_HALF,
                    NumChannels: 4,
                };
                let mut array = null_mut();
                ok!(cuda, cuArrayCreate_v2(&mut array, &descriptor));
                self.arrays.push(array as usize);
            }
            7 => {
                if let Some(array) = random.take(&mut self.arrays) {
                    ok!(cuda, cuArrayDestroy(array as _));
                }
            }
            8 => {
                let mut prop = CUmemAllocationProp::default();
                // CU_MEM_ALLOCATION_TYPE_PINNED.
                prop.type_.0 = 1;
                prop.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
                let mut handle = 0;
                ok!(cuda, cuMemCreate(&mut handle, bytes, &prop, 0));
                let mut address = 0;
                ok!(cuda, cuMemAddressReserve(&mut address, bytes, 0, 0, 0));
                ok!(cuda, cuMemMap(address, bytes, 0, handle, 0));
                self.mappings.push((address, bytes));
                self.handles.push(handle);
            }
            9 => {
                if let Some(handle) = random.take(&mut self.handles) {
                    ok!(cuda, cuMemRelease(handle));
                }
            }
            10 => {
                if let Some((address, bytes)) = random.take(&mut self.mappings) {
                    ok!(cuda, cuMemUnmap(address, bytes));
                    ok!(cuda, cuMemAddressFree(address, bytes));
                }
            }
            11 => {
                let pool = new_pool(cuda);
                set_threshold(cuda, pool, random.below(4) * 64 * MIB);
                self.pools.push(pool as usize);
            }
            12 | 13 => {
                if let Some(pool) = self.pools.last() {
                    let mut address = 0;
                    let (pool, stream) = (*pool as CUmemoryPool, self.stream(cuda, random));
                    ok!(
                        cuda,
                        cuMemAllocFromPoolAsync(&mut address, bytes, pool, stream)
                    );
                    self.ordered.push(address);
                }
            }
            14 => {
                if random.below(4) == 0
                    && let Some(pool) = random.take(&mut self.pools)
                {
                    ok!(cuda, cuMemPoolDestroy(pool as CUmemoryPool));
                }
            }
            15 => {
                let stream = self.stream(cuda, random);
                ok!(cuda, cuStreamSynchronize(stream));
            }
            _ => {
                if let Some((address, _)) = self.mappings.last() {
                    let mut handle = 0;
                    ok!(
                        cuda,
                        cuMemRetainAllocationHandle(&mut handle, *address as *mut _)
                    );
                    self.handles.push(handle);
                }
            }
        }
    }

    /// One of two streams that take no turns with each other.
    fn stream(&mut self, cuda: &Library, random: &mut Random) -> CUstream {
        while self.streams.len() < 2 {
            let mut stream = null_mut();
            // CU_STREAM_NON_BLOCKING.
            ok!(cuda, cuStreamCreate(&mut stream, 1));
            self.streams.push(stream as usize);
        }
        self.streams[random.below(2) as usize] as CUstream
    }

    /// Frees everything.
    fn drop_all(self, cuda: &Library) {
        for address in self.plain {
            ok!(cuda, cuMemFree_v2(address));
        }
        for address in self.ordered {
            ok!(cuda, cuMemFreeAsync(address, null_mut()));
        }
        for array in self.arrays {
            ok!(cuda, cuArrayDestroy(array as _));
        }
        for handle in self.handles {
            ok!(cuda, cuMemRelease(handle));
        }
        for (address, bytes) in self.mappings {
            ok!(cuda, cuMemUnmap(address, bytes));
        }
        for pool in self.pools {
            ok!(cuda, cuMemPoolDestroy(pool as CUmemoryPool));
        }
        for stream in self.streams {
            ok!(cuda, cuStreamDestroy_v2(stream as CUstream));
        }
        ok!(cuda, cuCtxSynchronize());
    }
}

/// MiB the process uses beside its context, by the device's own count.
fn used_mib() -> u64 {
    // Opened by path and late, so that the preload library has given up looking for it: it would bring
    // the charge in line with the very figure that is to be compared.
    let preload = std::env::var("LD_PRELOAD").expect("set");
    let directory = std::path::Path::new(&preload).parent().expect("a path");
    let path = directory.join("libfcsp_sim_nvml.so");
    let path = std::ffi::CString::new(path.to_str().expect("plain path")).expect("no NUL");
    let library = Library::open(&path);
    let good = nvmlReturn_t::NVML_SUCCESS;
    assert_eq!(cu!(library, nvmlInit_v2()), good);
    let mut device = null_mut();
    let found = cu!(library, nvmlDeviceGetHandleByIndex_v2(0, &mut device));
    assert_eq!(found, good);
    let (mut infos, mut count) = ([nvmlProcessInfo_t::default(); 8], 8);
    let listed = cu!(
        library,
        nvmlDeviceGetComputeRunningProcesses_v3(device, &mut count, infos.as_mut_ptr())
    );
    assert_eq!((listed, count), (good, 1), "this process is alone");
    assert_eq!(infos[0].pid, std::process::id());
    (infos[0].usedGpuMemory - CONTEXT_BYTES) / MIB
}

fn new_pool(cuda: &Library) -> CUmemoryPool {
    let mut props = CUmemPoolProps::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    props.allocType.0 = 1;
    props.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    let mut pool = null_mut();
    ok!(cuda, cuMemPoolCreate(&mut pool, &props));
    pool
}

fn set_threshold(cuda: &Library, pool: CUmemoryPool, bytes: u64) {
    let mut bytes = bytes;
    let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    ok!(
        cuda,
        cuMemPoolSetAttribute(pool, attribute, (&raw mut bytes).cast())
    );
}

/// Makes the device's default pool keep all it gets.
fn keep_all(cuda: &Library) {
    let mut pool: CUmemoryPool = null_mut();
    ok!(cuda, cuDeviceGetDefaultMemPool(&mut pool, 0));
    set_threshold(cuda, pool, u64::MAX);
}

fn agree(cuda: &Library, seed: u64, keep: bool) {
    std::thread::sleep(std::time::Duration::from_millis(300));
    if keep {
        keep_all(cuda);
    }
    let mut random = Random(seed);
    let mut held = Held::default();
    for step in 0..STEPS {
        held.step(cuda, &mut random);
        if step % 7 == 0 {
            let used_mib = used_mib();
            let charged_mib = cuda.charged_mib();
            assert!(
                charged_mib >= used_mib,
                "seed {seed}, step {step}: {charged_mib} of {used_mib} MiB are charged"
            );
        }
        if step % 20 == 0 {
            ok!(cuda, cuCtxSynchronize());
            assert_eq!(cuda.charged_mib(), used_mib(), "seed {seed}, step {step}");
        }
    }
    held.drop_all(cuda);
    let kept_mib = cuda.charged_mib();
    assert_eq!(kept_mib, used_mib(), "seed {seed}");
    assert_eq!(kept_mib > 0, keep, "seed {seed}: {kept_mib} MiB");
}

/// Enough that nothing is refused.
const LARGE: Program = Program {
    quota_mib: 60_000,
    device_mib: 64_000,
    ..TENANT
};

#[test]
fn random_programs_are_charged_what_they_use() {
    LARGE.run(crate::here!(), |cuda| agree(cuda, 0x9e37_79b9, false));
}

#[test]
fn random_programs_are_charged_what_their_pools_keep() {
    LARGE.run(crate::here!(), |cuda| agree(cuda, 0x2545_f491, true));
}

#[test]
fn threads_that_allocate_and_free_at_once_leave_nothing_charged() {
    LARGE.run(crate::here!(), |cuda| {
        let mut context: CUcontext = null_mut();
        ok!(cuda, cuCtxGetCurrent(&mut context));
        let context = context as usize;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    ok!(cuda, cuCtxSetCurrent(context as CUcontext));
                    let mut random = Random(0x1234_5678 + thread);
                    let mut held = Held::default();
                    for _ in 0..STEPS {
                        held.step(cuda, &mut random);
                    }
                    held.drop_all(cuda);
                });
            }
        });
        assert_eq!(cuda.charged_mib(), 0);
    });
}

/// Enough to be refused again and again.
const SMALL: Program = Program {
    quota_mib: 2048,
    ..LARGE
};

#[test]
fn threads_that_race_for_pool_memory_never_use_more_than_the_quota() {
    SMALL.run(crate::here!(), |cuda| {
        let mut context: CUcontext = null_mut();
        ok!(cuda, cuCtxGetCurrent(&mut context));
        let context = context as usize;
        let done = AtomicBool::new(false);
        // Before any of them: opening the library takes longer than they run.
        let mut looks = vec![used_mib()];
        let refused = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..6)
                .map(|thread| {
                    scope.spawn(move || {
                        ok!(cuda, cuCtxSetCurrent(context as CUcontext));
                        race(cuda, 0x0bad_5eed + thread)
                    })
                })
                .collect();
            let witness = scope.spawn(|| {
                let mut looks = Vec::new();
                while !done.load(Ordering::Acquire) {
                    looks.push(used_mib());
                }
                looks
            });
            let refused: u32 = racers
                .into_iter()
                .map(|racer| racer.join().expect("no racer panics"))
                .sum();
            done.store(true, Ordering::Release);
            looks.extend(witness.join().expect("the witness does not panic"));
            refused
        });
        let most_mib = looks.iter().max().expect("some looks");
        assert!(refused > 0, "nobody met the quota");
        assert!(looks.len() > 10, "{} looks", looks.len());
        assert!(*most_mib <= 2048 - 518, "{most_mib} MiB were used");
        assert_eq!((cuda.charged_mib(), used_mib()), (0, 0));
    });
}

/// Allocates and frees in a stream of its own; gives how often it was refused.
fn race(cuda: &Library, seed: u64) -> u32 {
    let mut random = Random(seed);
    let mut stream = null_mut();
    ok!(cuda, cuStreamCreate(&mut stream, 1));
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..STEPS {
        let bytes = ((1 + random.below(200)) * MIB) as usize;
        let mut address = 0;
        if random.below(10) < 6 {
            match cu!(cuda, cuMemAllocAsync(&mut address, bytes, stream)) {
                CUresult::CUDA_SUCCESS => held.push(address),
                refusal => {
                    assert_eq!(refusal, CUresult::CUDA_ERROR_OUT_OF_MEMORY, "seed {seed}");
                    refused += 1;
                    for address in held.drain(..) {
                        ok!(cuda, cuMemFreeAsync(address, stream));
                    }
                }
            }
        } else if let Some(address) = random.take(&mut held) {
            ok!(cuda, cuMemFreeAsync(address, stream));
        }
    }
    for address in held {
        ok!(cuda, cuMemFreeAsync(address, stream));
    }
    ok!(cuda, cuStreamSynchronize(stream));
    ok!(cuda, cuStreamDestroy_v2(stream));
    refused
}
