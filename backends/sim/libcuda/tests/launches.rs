//! The simulated driver's older launch calls, changes of instantiated graphs, batches of copies, and
//! collectives.

#[path = "support/driver.rs"]
mod driver;
mod support;

use cuda_sys::{
    CUDA_KERNEL_NODE_PARAMS, CUgraphExecUpdateResultInfo, CUmemcpyAttributes, CUresult,
};
use driver::{count, driver, stream, word};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Release};

#[test]
fn an_old_launch_takes_what_was_set_before() {
    let (cuda, _alone) = driver();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(8);
    ok!(cuda, cuFuncSetBlockShape(work, 256, 1, 1));
    ok!(cuda, cuParamSetSize(work, 24));
    ok!(cuda, cuParamSeti(work, 0, 100));
    let (mut address, mut add) = (counter, 5_u64);
    ok!(cuda, cuParamSetv(work, 8, (&raw mut address).cast(), 8));
    ok!(cuda, cuParamSetv(work, 16, (&raw mut add).cast(), 8));
    ok!(cuda, cuLaunch(work));
    ok!(cuda, cuLaunchGrid(work, 132, 1));
    let own = stream(cuda, 1);
    ok!(cuda, cuLaunchGridAsync(work, 132, 2, own));
    ok!(cuda, cuCtxSynchronize());
    assert_eq!(count(counter), 15);
    assert_eq!(
        cu!(cuda, cuLaunchGrid(work, 0, 1)),
        CUresult::CUDA_ERROR_INVALID_VALUE
    );
}

#[test]
fn a_reading_kernel_takes_the_time_that_it_credits() {
    let (cuda, _alone) = driver();
    let read = cuda.kernel(c"fcsp_read");
    let counter = cuda.pinned(8);
    let (mut rounds, mut address, mut add) = (1_u32, counter, 20_000_000_u64);
    let (mut from, mut mask) = (0_u64, 0_u64);
    let mut params: [*mut c_void; 5] = [
        (&raw mut rounds).cast(),
        (&raw mut address).cast(),
        (&raw mut add).cast(),
        (&raw mut from).cast(),
        (&raw mut mask).cast(),
    ];
    let own = stream(cuda, 1);
    let began = std::time::Instant::now();
    let (params, extra) = (params.as_mut_ptr(), null_mut());
    ok!(
        cuda,
        cuLaunchKernel(read, 132, 1, 1, 256, 1, 1, 0, own, params, extra)
    );
    ok!(cuda, cuCtxSynchronize());
    assert_eq!(count(counter), add);
    assert!(began.elapsed().as_millis() >= 15, "{:?}", began.elapsed());
}

#[test]
fn a_stamped_kernel_notes_when_it_began_and_ended() {
    let (cuda, _alone) = driver();
    let stamped = cuda.kernel(c"fcsp_stamped");
    let words = cuda.pinned(32);
    let own = stream(cuda, 1);
    for place in 0..2 {
        // 100,000 rounds of 10 ns.
        let (mut rounds, mut address) = (100_000_u32, words + 16 * place);
        let mut params: [*mut c_void; 2] = [(&raw mut rounds).cast(), (&raw mut address).cast()];
        let params = params.as_mut_ptr();
        ok!(
            cuda,
            cuLaunchKernel(stamped, 132, 1, 1, 256, 1, 1, 0, own, params, null_mut())
        );
    }
    ok!(cuda, cuCtxSynchronize());
    let [first, ended, second, last] = [0, 8, 16, 24].map(|at| count(words + at));
    assert!(
        (980_000..=1_020_000).contains(&(ended - first)),
        "{first} {ended}"
    );
    assert!(
        (980_000..=1_020_000).contains(&(last - second)),
        "{second} {last}"
    );
    assert_eq!(ended, second, "nothing is between them");
}

#[test]
fn a_set_that_was_read_before_is_in_the_cache() {
    let (cuda, _alone) = driver();
    let chase = cuda.kernel(c"fcsp_chase");
    let (words, sets) = (cuda.pinned(64), [cuda.pinned(128), cuda.pinned(128)]);
    let own = stream(cuda, 1);
    let read = |set: u64| {
        let (mut set, mut hops, mut hit_cycles, mut address) = (set, 500_u32, 400_u32, words);
        let mut params: [*mut c_void; 4] = [
            (&raw mut set).cast(),
            (&raw mut hops).cast(),
            (&raw mut hit_cycles).cast(),
            (&raw mut address).cast(),
        ];
        let params = params.as_mut_ptr();
        ok!(
            cuda,
            cuLaunchKernel(chase, 2, 1, 1, 1, 1, 1, 0, own, params, null_mut())
        );
        ok!(cuda, cuCtxSynchronize());
        let blocks = [0, 32].map(|block| [0, 8, 16].map(|at| count(words + block + at)));
        assert_eq!(blocks[0], blocks[1]);
        assert_eq!(blocks[0][1], 500);
        blocks[0]
    };
    let [from_memory, from_cache] = [read(sets[0]), read(sets[0])];
    assert_eq!((from_memory[2], from_cache[2]), (0, 500));
    assert!(from_memory[0] > from_cache[0]);
    assert_eq!(read(sets[1])[2], 0, "another set is not in it");
}

#[test]
fn an_updated_graph_does_what_the_other_does() {
    let (cuda, _alone) = driver();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(8);
    let node = |add: u64, graph| {
        let (mut iterations, mut counter, mut add) = (1_u32, counter, add);
        let mut params: [*mut c_void; 3] = [
            (&raw mut iterations).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        let params = CUDA_KERNEL_NODE_PARAMS {
            func: work,
            gridDimX: 1,
            gridDimY: 1,
            gridDimZ: 1,
            blockDimX: 32,
            blockDimY: 1,
            blockDimZ: 1,
            kernelParams: params.as_mut_ptr(),
            ..Default::default()
        };
        let mut node = null_mut();
        match graph {
            Ok(graph) => ok!(
                cuda,
                cuGraphAddKernelNode_v2(&mut node, graph, null_mut(), 0, &params)
            ),
            Err((exec, node)) => {
                ok!(cuda, cuGraphExecKernelNodeSetParams_v2(exec, node, &params));
            }
        }
        node
    };
    let (mut first, mut second, mut exec) = (null_mut(), null_mut(), null_mut());
    ok!(cuda, cuGraphCreate(&mut first, 0));
    ok!(cuda, cuGraphCreate(&mut second, 0));
    let of_first = node(1, Ok(first));
    node(10, Ok(second));
    ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, first, 0));
    let own = stream(cuda, 1);
    let launch = || {
        ok!(cuda, cuGraphLaunch(exec, own));
        ok!(cuda, cuStreamSynchronize(own));
        count(counter)
    };
    assert_eq!(launch(), 1);
    let mut info = CUgraphExecUpdateResultInfo::default();
    ok!(cuda, cuGraphExecUpdate_v2(exec, second, &mut info));
    assert_eq!(launch(), 11);
    node(100, Err((exec, of_first)));
    assert_eq!(launch(), 111);
    node(7, Ok(second));
    assert_eq!(
        cu!(cuda, cuGraphExecUpdate_v2(exec, second, &mut info)),
        CUresult::CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE
    );
    assert_eq!(launch(), 211, "it is as it was");
}

#[test]
fn a_batch_copies_all_of_it() {
    let (cuda, _alone) = driver();
    let (mut from, mut to) = (0, 0);
    ok!(cuda, cuMemAlloc_v2(&mut from, 4096));
    ok!(cuda, cuMemAlloc_v2(&mut to, 4096));
    ok!(cuda, cuMemsetD8_v2(from, 7, 4096));
    ok!(cuda, cuMemsetD8_v2(to, 0, 4096));
    let own = stream(cuda, 0);
    let (mut targets, mut sources, mut sizes) = ([to, to + 64], [from, from], [16, 32]);
    let (mut attributes, mut index) = (CUmemcpyAttributes::default(), 0);
    let mut batch = |stream| {
        cu!(
            cuda,
            cuMemcpyBatchAsync_v2(
                targets.as_mut_ptr(),
                sources.as_mut_ptr(),
                sizes.as_mut_ptr(),
                2,
                &mut attributes,
                &mut index,
                1,
                stream
            )
        )
    };
    assert_eq!(batch(null_mut()), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(batch(own), CUresult::CUDA_SUCCESS);
    ok!(cuda, cuStreamSynchronize(own));
    let mut bytes = [0_u8; 128];
    ok!(cuda, cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), to, 128));
    let copied = |range: std::ops::Range<usize>| bytes[range].iter().all(|byte| *byte == 7);
    assert!(copied(0..16) && copied(64..96));
    assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 48);
}

#[test]
fn a_rank_ends_when_the_other_has_come() {
    let (cuda, _alone) = driver();
    let meet = cuda.kernel(c"ncclDevKernel_Simulated");
    let words = cuda.pinned(64);
    let own = stream(cuda, 1);
    let (mut mine, mut theirs, mut number) = (words, words + 4, 3_u32);
    let mut params: [*mut c_void; 3] = [
        (&raw mut mine).cast(),
        (&raw mut theirs).cast(),
        (&raw mut number).cast(),
    ];
    ok!(
        cuda,
        cuLaunchKernel(
            meet,
            1,
            1,
            1,
            32,
            1,
            1,
            0,
            own,
            params.as_mut_ptr(),
            null_mut()
        )
    );
    while word(mine).load(Acquire) != 3 {
        std::thread::yield_now();
    }
    assert_eq!(
        cu!(cuda, cuStreamQuery(own)),
        CUresult::CUDA_ERROR_NOT_READY
    );
    word(theirs).store(3, Release);
    ok!(cuda, cuStreamSynchronize(own));
}
