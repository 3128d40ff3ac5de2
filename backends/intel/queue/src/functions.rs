//! The driver's functions that a gate calls: [`Functions`], and [`Driver`] for whoever has only those.

use core::ffi::c_void;

use level_zero_sys::fn_types;

use crate::target::Target;
use crate::words::Words;

/// A command queue or an immediate list, by its handle.
pub type Queue = *mut c_void;

/// Calls the macro `then` with the names of all functions that a gate calls.
#[macro_export]
macro_rules! each_function {
    ($then:ident) => {
        $then! {
            zeEventPoolCreate,
            zeEventPoolDestroy,
            zeEventCreate,
            zeEventDestroy,
            zeEventHostReset,
            zeEventQueryStatus,
            zeEventQueryKernelTimestamp,
            zeCommandListCreate,
            zeCommandListCreateImmediate,
            zeCommandListDestroy,
            zeCommandListReset,
            zeCommandListClose,
            zeCommandListAppendBarrier,
            zeCommandQueueExecuteCommandLists,
        }
    };
}

/// Where they come from, with a line for each of them.
macro_rules! functions {
    ($($name:ident,)*) => {
        /// Pointers to the driver's own functions, found once by whoever makes a gate. What the driver lacks is `None`, and
        /// the gate then refuses what needs it.
        #[derive(Clone, Copy, Debug, Default)]
        #[allow(non_snake_case, reason = "the header's names")]
        pub struct Driver {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub $name: Option<fn_types::$name>,
            )*
            /// As [`Functions::target`].
            pub target: Option<fn(u64) -> Option<Target>>,
            /// As [`Functions::words`].
            pub words: &'static [Words],
        }

        /// Where the driver's functions come from: a [`Driver`], or a preload library that has them already.
        #[allow(non_snake_case, reason = "the header's names")]
        pub trait Functions: Copy {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                fn $name(&self) -> Option<fn_types::$name>;
            )*

            /// What is known of the queue with that handle. `None` for one that nobody made.
            fn target(&self, queue: u64) -> Option<Target>;

            /// The ways with words in memory of every driver that has them.
            fn words(&self) -> &'static [Words];

            /// Whether queues may wait for a grant; where they may not, threads do.
            fn queues_wait(&self) -> bool;
        }

        impl Functions for Driver {
            $(
                fn $name(&self) -> Option<fn_types::$name> {
                    self.$name
                }
            )*

            fn target(&self, queue: u64) -> Option<Target> {
                self.target?(queue)
            }

            fn words(&self) -> &'static [Words] {
                self.words
            }

            fn queues_wait(&self) -> bool {
                true
            }
        }
    };
}

each_function!(functions);
