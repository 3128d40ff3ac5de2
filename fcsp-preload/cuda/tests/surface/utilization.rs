//! What the management library tells a tenant of its use.

use crate::seen::run_gated;
use crate::support::Library;
use cuda_sys::{nvmlReturn_t, nvmlUtilization_t};
use std::ptr::null_mut;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[test]
fn a_tenant_that_uses_its_half_is_busy_and_then_is_not() {
    run_gated(crate::here!(), |cuda, it| {
        let management = Library::open(c"libnvidia-ml.so.1");
        let good = nvmlReturn_t::NVML_SUCCESS;
        let mut device = null_mut();
        assert_eq!(cu!(management, nvmlInit_v2()), good);
        let found = cu!(management, nvmlDeviceGetHandleByIndex_v2(0, &mut device));
        assert_eq!(found, good);
        let busy = || {
            let mut rates = nvmlUtilization_t::default();
            let asked = cu!(
                management,
                nvmlDeviceGetUtilizationRates(device, &mut rates)
            );
            assert_eq!(asked, good);
            rates.gpu
        };
        let mut context = null_mut();
        ok!(cuda, cuCtxGetCurrent(&mut context));
        let (context, function) = (context as usize, it.work as usize);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                ok!(cuda, cuCtxSetCurrent(context as _));
                while !stop.load(Relaxed) {
                    crate::seen::work(cuda, function as _, 500, null_mut());
                }
                ok!(cuda, cuCtxSynchronize());
            });
            std::thread::sleep(Duration::from_millis(200));
            // The device is busy for half of the time, which is all that the tenant may have.
            let all_of_its = (0..5).map(|_| busy()).max();
            assert!(all_of_its >= Some(70), "{all_of_its:?}");
            stop.store(true, Relaxed);
        });
        // The last answer may still be of the time before.
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(200));
            busy();
        }
        std::thread::sleep(Duration::from_millis(300));
        let idle = busy();
        assert!(idle <= 10, "{idle}");
    });
}
