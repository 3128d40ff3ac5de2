//! Captures beside gated work: nothing of ours may get into the program's graph, or spoil it.

use cuda_sys::{CUcontext, CUfunction, CUgraph, CUresult, CUstream, CUstreamCaptureMode};
use std::ffi::c_void;
use std::ptr::null_mut;

use crate::support::library::Library;
use crate::support::{MIB, TENANT, books::Books};
use crate::world::PTX;
use crate::{cu, ok};

const RELAXED: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;

/// A program with a kernel and two streams.
struct Program {
    cuda: Library,
    kernel: CUfunction,
    streams: [CUstream; 2],
}

impl Program {
    fn start() -> Self {
        let cuda = Library::open(c"libcuda.so.1");
        ok!(cuda, cuInit(0));
        let mut context: CUcontext = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        let (mut module, mut kernel) = (null_mut(), null_mut());
        ok!(cuda, cuModuleLoadData(&mut module, PTX.as_ptr().cast()));
        ok!(
            cuda,
            cuModuleGetFunction(&mut kernel, module, c"fcsp_work".as_ptr())
        );
        let mut streams = [null_mut(); 2];
        for stream in &mut streams {
            ok!(cuda, cuStreamCreate(stream, 1));
        }
        Self {
            cuda,
            kernel,
            streams,
        }
    }

    fn launch(&self, stream: CUstream) {
        let (mut iterations, mut counter, mut add) = (100_u32, 0_u64, 0_u64);
        let mut params: [*mut c_void; 3] = [
            (&raw mut iterations).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        let (kernel, params) = (self.kernel, params.as_mut_ptr());
        ok!(
            self.cuda,
            cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, stream, params, null_mut())
        );
    }

    fn begin(&self) {
        ok!(self.cuda, cuStreamBeginCapture_v2(self.streams[0], RELAXED));
    }

    /// Ends the capture; how many nodes its graph has.
    fn end(&self) -> usize {
        let mut graph: CUgraph = null_mut();
        ok!(self.cuda, cuStreamEndCapture(self.streams[0], &mut graph));
        let mut count = 0;
        ok!(self.cuda, cuGraphGetNodes(graph, null_mut(), &mut count));
        count
    }
}

/// A segment that used a stream closes while that stream is being captured.
pub fn close_segments_meanwhile() {
    let program = Program::start();
    for _ in 0..50 {
        // Both streams are in the open segment; the end of one of them closes it.
        program.launch(program.streams[0]);
        let mut other = null_mut();
        ok!(program.cuda, cuStreamCreate(&mut other, 1));
        program.launch(other);
        program.begin();
        program.launch(program.streams[0]);
        ok!(program.cuda, cuStreamDestroy_v2(other));
        for _ in 0..40 {
            program.launch(program.streams[1]);
        }
        program.launch(program.streams[0]);
        assert_eq!(program.end(), 2, "the program's own two kernels");
        ok!(program.cuda, cuCtxSynchronize());
    }
}

/// Ends of a capture that the driver refuses.
pub fn end_in_vain() {
    let program = Program::start();
    let cuda = &program.cuda;
    let run_dir = std::env::var_os("FCSP_RUN_DIR").expect("set by the stage");
    let books = Books::all(std::path::Path::new(&run_dir))
        .pop()
        .expect("a region");
    let charged = books.used_bytes(TENANT);
    program.begin();
    let stream = program.streams[0];
    let refused = cu!(cuda, cuStreamEndCapture(stream, null_mut()));
    assert_eq!(refused, CUresult::CUDA_ERROR_INVALID_VALUE);
    let mut graph = null_mut();
    let refused = cu!(cuda, cuStreamEndCapture(program.streams[1], &mut graph));
    assert_eq!(refused, CUresult::CUDA_ERROR_ILLEGAL_STATE);
    ok!(cuda, cuMemAllocAsync(&mut 0, 64 * MIB as usize, stream));
    assert_eq!(
        books.used_bytes(TENANT),
        charged,
        "a node takes nothing yet"
    );
    assert_eq!(program.end(), 1);
    ok!(cuda, cuMemAllocAsync(&mut 0, 64 * MIB as usize, stream));
    assert!(
        books.used_bytes(TENANT) >= charged + 64 * MIB,
        "and after it memory does"
    );
}
