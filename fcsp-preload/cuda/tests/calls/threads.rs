//! Threads that allocate and free at once: the ledger must be exactly what they hold in the end.

use cuda_sys::{CUcontext, CUmemAllocationProp, CUmemLocationType, CUresult};
use std::ptr::null_mut;
use std::sync::Barrier;

use crate::bytes::Bytes;
use crate::cu;
use crate::model::blocks;
use crate::ok;
use crate::support::books::Books;
use crate::support::library::Library;
use crate::support::{CONTEXT_BYTES, MIB, TENANT};

const THREADS: u64 = 8;
const QUOTA_BYTES: u64 = 6 << 30;

/// What a thread holds: address or handle, charge, and whether it is physical memory.
type Held = Vec<(u64, u64, bool)>;

/// `calls` calls of each thread.
pub fn run(calls: usize) {
    let cuda = Library::open(c"libcuda.so.1");
    ok!(cuda, cuInit(0));
    let mut context: CUcontext = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
    let run_dir = std::env::var_os("FCSP_RUN_DIR").expect("set by the stage");
    let books = Books::all(std::path::Path::new(&run_dir))
        .pop()
        .expect("a region");
    let (all_hold, checked) = (
        Barrier::new(THREADS as usize + 1),
        Barrier::new(THREADS as usize + 1),
    );
    let context = context as u64;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (cuda, all_hold, checked) = (&cuda, &all_hold, &checked);
                scope.spawn(move || {
                    ok!(cuda, cuCtxSetCurrent(context as CUcontext));
                    let (held, refusals) = churn(cuda, Bytes::Seeded(thread), calls);
                    let bytes: u64 = held.iter().map(|(_, bytes, _)| bytes).sum();
                    all_hold.wait();
                    checked.wait();
                    for one in held {
                        give_back(cuda, one);
                    }
                    (bytes, refusals)
                })
            })
            .collect();
        all_hold.wait();
        let charged = books.used_bytes(TENANT);
        let answered = books.answered_bytes(TENANT);
        checked.wait();
        let (mut held, mut refusals) = (0, 0);
        for thread in threads {
            let (bytes, refused) = thread.join().expect("no panic");
            held += bytes;
            refusals += refused;
        }
        assert_eq!(charged, held + CONTEXT_BYTES);
        assert_eq!(answered, charged);
        assert!(charged <= QUOTA_BYTES);
        assert!(refusals > 0, "the quota was never met");
    });
    assert_eq!(books.used_bytes(TENANT), CONTEXT_BYTES);
    ok!(cuda, cuDevicePrimaryCtxRelease_v2(0));
    assert_eq!(books.used_bytes(TENANT), 0);
    assert_eq!(books.answered_bytes(TENANT), 0);
}

fn churn(cuda: &Library, mut bytes: Bytes, calls: usize) -> (Held, u64) {
    let (mut held, mut refusals) = (Held::new(), 0);
    for _ in 0..calls {
        if held.len() > 40 || (!held.is_empty() && bytes.one_in(3)) {
            let one = held.swap_remove(bytes.below(held.len()));
            give_back(cuda, one);
            continue;
        }
        let physical = bytes.one_in(3);
        let size = match physical {
            true => (1 + bytes.number() % 16) * 2 * MIB,
            false => 1 + bytes.number() % (48 * MIB),
        };
        let mut made = 0;
        let result = match physical {
            true => create(cuda, &mut made, size),
            false => cu!(cuda, cuMemAlloc_v2(&mut made, size as usize)),
        };
        match result {
            CUresult::CUDA_SUCCESS => {
                held.push((made, if physical { size } else { blocks(size) }, physical))
            }
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => refusals += 1,
            other => panic!("{other:?}"),
        }
    }
    (held, refusals)
}

fn create(cuda: &Library, made: &mut u64, size: u64) -> CUresult {
    let mut prop = CUmemAllocationProp::default();
    prop.type_.0 = 1;
    prop.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    cu!(cuda, cuMemCreate(made, size as usize, &prop, 0))
}

fn give_back(cuda: &Library, (name, _, physical): (u64, u64, bool)) {
    match physical {
        true => ok!(cuda, cuMemRelease(name)),
        false => ok!(cuda, cuMemFree_v2(name)),
    }
}
