//! What a killed program held, as the next one of its tenant sees it.

use crate::support::{CONTEXT_BYTES, Library, MIB, TENANT};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

const ROLE: &str = "FCSP_TEST_HOLDER";

/// Makes a context, as every program does first.
fn begin(cuda: &Library) {
    ok!(cuda, cuInit(0));
    let mut context = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
    ok!(cuda, cuCtxSetCurrent(context));
}

/// A program that takes memory and holds it until it is killed.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }
}

fn start_holder(tenant: &str) -> Holder {
    let mut holder = Command::new(std::env::current_exe().expect("own path"))
        .args(std::env::args().skip(1))
        .env(ROLE, "1")
        .env("FCSP_TENANT", tenant)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let said = BufReader::new(holder.stdout.take().expect("piped"));
    let held = said
        .lines()
        .map_while(Result::ok)
        .any(|line| line == "held");
    assert!(held, "it took its memory");
    Holder(holder)
}

/// Though nobody competes for the device, and whoever arbitrates sleeps.
#[test]
fn it_is_free_memory_again_when_the_next_has_started() {
    TENANT.run_bare(crate::here!(), |cuda| {
        if std::env::var_os(ROLE).is_some() {
            begin(cuda);
            let mut address = 0;
            ok!(cuda, cuMemAlloc_v2(&mut address, 1024 * MIB as usize));
            println!("\nheld");
            loop {
                std::thread::park();
            }
        }
        let _other = start_holder("other");
        drop(start_holder("tester"));
        begin(cuda);
        let quota_bytes = TENANT.quota_mib * MIB;
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let (mut free, mut total) = (0, 0);
            ok!(cuda, cuMemGetInfo_v2(&mut free, &mut total));
            assert_eq!(total as u64, quota_bytes);
            if free as u64 >= quota_bytes - CONTEXT_BYTES {
                return;
            }
            assert!(Instant::now() < until, "{free} bytes are free of {total}");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}
