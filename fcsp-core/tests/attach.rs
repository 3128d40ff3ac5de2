//! Joining, leaving and finding each other in a region, within one process.

mod common;

use common::{device, quota, region};
use fcsp_core::region::layout::{SLOTS_MAX, VERSION};
use fcsp_core::region::liveness::{Liveness, verdict};
use fcsp_core::region::{Attachment, Region, RegionError, list, reclaim, scan, tenant};
use fcsp_core::sync::Ordering;

#[test]
fn a_region_is_found_again_as_it_was_made() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let made = Region::create_or_open(dir.path(), &device("GPU-1")).expect("makes it");
    made.layout().header.doorbell.store(7, Ordering::Relaxed);
    let found = Region::create_or_open(dir.path(), &device("GPU-1")).expect("finds it");
    assert_eq!(found.layout().header.doorbell.load(Ordering::Relaxed), 7);
    assert_eq!(found.device(), device("GPU-1"));
    Region::create_or_open(dir.path(), &device("0000:3b:00.0")).expect("another device");
    let listed = list(dir.path()).expect("lists");
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|(_, region)| region.is_ok()));
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("reads")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(
        names.len(),
        4,
        "two regions, two lock files, nothing else: {names:?}"
    );
}

#[test]
fn a_file_that_is_no_region_is_refused_with_what_to_do() {
    let (_dir, region) = region();
    let path = region.path();
    let header = &region.layout().header;
    header.layout_hash.fetch_add(1, Ordering::Relaxed);
    assert!(matches!(
        Region::open(path),
        Err(RegionError::OtherLayout { .. })
    ));
    header.version.fetch_add(1, Ordering::Relaxed);
    let error = Region::open(path).expect_err("another version");
    let ours = format!("this is version {VERSION}");
    assert!(error.to_string().contains(&ours), "{error}");
    header.magic.store(0, Ordering::Relaxed);
    assert!(matches!(
        Region::open(path),
        Err(RegionError::NotARegion { .. })
    ));
    std::fs::write(path, "short").expect("writes");
    assert!(matches!(
        Region::open(path),
        Err(RegionError::TooSmall { bytes: 5, .. })
    ));
}

#[test]
fn a_tenant_exists_once_per_name() {
    let (_dir, region) = region();
    let indices: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let again = Region::open(region.path()).expect("opens");
                    tenant::find_or_make(&again, "team-a", quota(10)).expect("a tenant")
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|it| it.join().expect("joins"))
            .collect()
    });
    assert!(indices.iter().all(|index| *index == indices[0]));
    let other = tenant::find_or_make(&region, "team-b", quota(20)).expect("a tenant");
    assert_ne!(other, indices[0]);
    assert_eq!(scan::live_tenants(region.layout()).count(), 2);
    for name in ["", "ze\0ro", &"x".repeat(65)] {
        let error = tenant::find_or_make(&region, name, quota(1)).expect_err("no name");
        assert!(matches!(error, RegionError::Name { .. }));
    }
}

#[test]
fn idle_tenants_are_swept_and_others_stay() {
    let (_dir, region) = region();
    let staying = Attachment::join(&region, "staying", quota(100)).expect("joins");
    Attachment::join(&region, "leaving", quota(100))
        .expect("joins")
        .detach()
        .expect("leaves");
    assert_eq!(tenant::sweep(&region).expect("sweeps"), 1);
    assert_eq!(
        tenant::find(&region, "staying"),
        Some(staying.tenant_index())
    );
    assert_eq!(tenant::find(&region, "leaving"), None);
}

#[test]
fn a_full_table_of_tenants_makes_room_for_a_new_one() {
    let (_dir, region) = region();
    for index in 0..300 {
        tenant::find_or_make(&region, &format!("tenant-{index}"), quota(1)).expect("a tenant");
    }
}

#[test]
fn a_slot_is_taken_and_given_back_whole() {
    let (_dir, region) = region();
    let attachment = Attachment::join(&region, "team-a", quota(1000)).expect("joins");
    let slots: Vec<_> = scan::live_slots(region.layout()).collect();
    assert_eq!(slots.len(), 1);
    assert_eq!(slots[0].index, attachment.slot_index());
    assert_eq!(slots[0].tenant(), attachment.tenant_index());
    assert_eq!(
        slots[0].slot.pid.load(Ordering::Relaxed),
        std::process::id()
    );
    assert_eq!(verdict(&region, attachment.slot_index()), Liveness::Alive);
    attachment.ledger().reserve(300).expect("fits");
    attachment.page().grant.store(5, Ordering::Relaxed);
    let (slot, tenant) = (attachment.slot_index(), attachment.tenant_index());
    let rings = region.layout().header.doorbell.load(Ordering::Relaxed);
    assert_eq!(attachment.detach().expect("leaves"), 300);
    assert_ne!(
        region.layout().header.doorbell.load(Ordering::Relaxed),
        rings
    );
    assert_eq!(region.tenant(tenant).used.bytes(), 0);
    assert_eq!(scan::slots(region.layout()).count(), 0);
    let again = Attachment::attach(&region, tenant).expect("attaches");
    assert_eq!(again.slot_index(), slot);
    assert_eq!(again.page().grant.load(Ordering::Relaxed), 0);
    assert_eq!(again.slot().generation.load(Ordering::Relaxed), 2);
    assert_eq!(again.ledger().slot_bytes(), 0);
}

#[test]
fn every_slot_can_be_used_and_one_more_is_refused() {
    let (_dir, region) = region();
    // Each has a descriptor of its own.
    let limit = libc::rlimit {
        rlim_cur: 4096,
        rlim_max: 4096,
    };
    // SAFETY: sets a limit of this process.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let attachments: Vec<_> = (0..SLOTS_MAX)
        .map(|_| Attachment::join(&region, "team-a", quota(1)).expect("joins"))
        .collect();
    assert_eq!(scan::live_slots(region.layout()).count(), SLOTS_MAX);
    let error = Attachment::join(&region, "team-a", quota(1)).expect_err("is full");
    assert!(matches!(error, RegionError::SlotsFull { .. }));
    assert_eq!(
        reclaim::reclaim_dead(&region).expect("looks"),
        reclaim::Reclaimed::default()
    );
    drop(attachments);
    assert_eq!(scan::slots(region.layout()).count(), 0);
}

#[test]
fn quota_is_exact_and_refusals_say_why() {
    let (_dir, region) = region();
    let attachment = Attachment::join(&region, "team-a", quota(1000)).expect("joins");
    let ledger = attachment.ledger();
    ledger.reserve(1000).expect("fits exactly");
    let refused = ledger.reserve(1).expect_err("one too many");
    assert_eq!(
        (
            refused.requested_bytes,
            refused.used_bytes,
            refused.quota_bytes
        ),
        (1, 1000, 1000)
    );
    ledger.reserve(u64::MAX).expect_err("would overflow");
    ledger.reserve(0).expect("nothing always fits");
    ledger.release(400);
    assert_eq!((ledger.used_bytes(), ledger.free_bytes()), (600, 400));
    ledger.adjust(700);
    assert_eq!((ledger.used_bytes(), ledger.free_bytes()), (1300, 0));
    ledger.adjust(-300);
    assert_eq!((ledger.used_bytes(), ledger.slot_bytes()), (1000, 1000));
    let memory = &attachment.tenant().memory;
    assert_eq!(memory.refused.load(Ordering::Relaxed), 2);
    assert_eq!(memory.peak_bytes.load(Ordering::Relaxed), 1300);
    attachment
        .tenant()
        .quota_bytes
        .store(u64::MAX, Ordering::Relaxed);
    ledger.reserve(1 << 60).expect("no quota");
}

#[test]
fn soft_mode_lets_through_and_counts() {
    let (_dir, region) = region();
    let attachment = Attachment::join(&region, "team-a", |tenant| {
        quota(1000)(tenant);
        tenant.memory_mode.store(
            fcsp_core::policy::MemoryMode::Soft.number(),
            Ordering::Relaxed,
        );
    })
    .expect("joins");
    let ledger = attachment.ledger();
    ledger.reserve(900).expect("fits");
    ledger.reserve(900).expect("let through");
    ledger
        .reserve(u64::MAX)
        .expect_err("cannot even be counted");
    assert_eq!(ledger.used_bytes(), 1800);
    let memory = &attachment.tenant().memory;
    assert_eq!(memory.over_quota.load(Ordering::Relaxed), 1);
    assert_eq!(memory.refused.load(Ordering::Relaxed), 1);
}
