//! What the gate asks of the driver ([`fcsp_intel_queue`]).

use std::sync::OnceLock;

use fcsp_intel_queue::{Functions, Target, Words};
use level_zero_sys::fn_types;

use super::Ze;
use crate::hooks::ze;
use crate::{devices, queues};

macro_rules! functions {
    ($($name:ident,)*) => {
        impl Functions for Ze {
            $(
                #[inline]
                fn $name(&self) -> Option<fn_types::$name> {
                    ze!($name)
                }
            )*

            fn target(&self, queue: u64) -> Option<Target> {
                queues::target(queue)
            }

            fn words(&self) -> &'static [Words] {
                devices::words()
            }

            /// Only where the operator says so: on the vendor's hardware a queue that waits takes time from those that
            /// work.
            fn queues_wait(&self) -> bool {
                static QUEUES_WAIT: OnceLock<bool> = OnceLock::new();
                *QUEUES_WAIT.get_or_init(|| {
                    std::env::var_os("FCSP_ZE_GATE").is_some_and(|value| value == "queue")
                })
            }
        }
    };
}

fcsp_intel_queue::each_function!(functions);
