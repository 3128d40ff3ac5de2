//! The types handlers speak in. A vendor's library converts its own to these.
//!
//! Handles are numbers that look like pointers ([`crate::handles`]); each kind has a type of its own, so that the
//! compiler tells them apart.

use std::ffi::c_void;

macro_rules! handles {
    ($($(#[$doc:meta])* $handle:ident = $tag:ident;)*) => {$(
        /// Never made: what a handle of this kind seems to point to.
        #[derive(Debug)]
        pub enum $tag {}
        $(#[$doc])*
        pub type $handle = *mut $tag;
    )*};
}

handles! {
    /// A context.
    ContextHandle = ContextTag;
    /// A stream.
    StreamHandle = StreamTag;
    /// An event.
    EventHandle = EventTag;
    /// A loaded module.
    ModuleHandle = ModuleTag;
    /// A kernel of a module.
    FunctionHandle = FunctionTag;
    /// A kernel of a library.
    KernelHandle = KernelTag;
    /// A module that belongs to no context.
    LibraryHandle = LibraryTag;
    /// A graph.
    GraphHandle = GraphTag;
    /// A node of a graph.
    NodeHandle = NodeTag;
    /// A graph that can be launched.
    ExecHandle = ExecTag;
    /// A memory pool.
    PoolHandle = PoolTag;
    /// An array, or all levels of a mipmapped one.
    ArrayHandle = ArrayTag;
}

/// An address of device memory.
pub type Address = u64;

/// Why a call failed, in the numbers that CUDA and HIP share. [`crate::border::rc`] has their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u32);

/// A function of the program that runs in stream order.
pub type HostFunction = unsafe extern "C" fn(*mut c_void);

/// The legacy default stream by name.
pub const STREAM_LEGACY: StreamHandle = std::ptr::without_provenance_mut(1);
/// The calling thread's own default stream.
pub const STREAM_PER_THREAD: StreamHandle = std::ptr::without_provenance_mut(2);

/// The marker before a packed argument buffer in a launch's `extra`.
pub const LAUNCH_PARAM_BUFFER_POINTER: *mut c_void = std::ptr::without_provenance_mut(1);
/// The marker before the size of that buffer.
pub const LAUNCH_PARAM_BUFFER_SIZE: *mut c_void = std::ptr::without_provenance_mut(2);
/// What ends `extra` in HIP; in CUDA it is null.
pub const LAUNCH_PARAM_END: *mut c_void = std::ptr::without_provenance_mut(3);

/// How a stream stands to captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CaptureStatus {
    /// It takes part in none.
    None = 0,
    /// It takes part in one.
    Active = 1,
    /// It takes part in one that has been spoilt.
    Invalidated = 2,
}

/// What a graph's node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum NodeType {
    Kernel = 0,
    Copy = 1,
    Fill = 2,
    Host = 3,
    Graph = 4,
    Empty = 5,
    Alloc = 10,
    Free = 11,
}

/// What came of changing an executable graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum UpdateResult {
    Success = 0,
    TopologyChanged = 2,
    NodeTypeChanged = 3,
}
