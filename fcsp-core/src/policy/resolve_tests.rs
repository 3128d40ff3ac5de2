//! Tests of the order among policy, environment and defaults.

use super::*;
use crate::policy::LowPriority;
use proptest::prelude::*;
use std::path::Path;

const GIB: u64 = 1 << 30;

const DEVICE: Limited<'_> = Limited {
    id: "GPU-1",
    ordinal: 0,
    total_bytes: 100 * GIB,
};

fn env(variables: &[(&str, &str)]) -> EnvSettings {
    let (settings, errors) = EnvSettings::read(
        variables
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    assert_eq!(errors, []);
    settings
}

fn policy(text: &str) -> Policy {
    Policy::parse(Path::new("p.toml"), text).expect("valid")
}

#[test]
fn without_anything_there_are_no_limits() {
    let resolved = resolve("a", DEVICE, None, &EnvSettings::default());
    assert_eq!(
        resolved,
        Resolved {
            limits: Limits::default(),
            notes: vec![]
        }
    );
}

#[test]
fn the_environment_alone_is_taken_at_its_word() {
    let env = env(&[
        ("BUD_SM_LIMIT", "25"),
        ("BUD_MEMORY_LIMIT", "50%"),
        ("BUD_MEMORY_LIMIT_MODE", "soft"),
        ("BUD_ISOLATION_MODE", "strict"),
        ("BUD_TENANT_FLOOR_PCT", "40"),
        ("BUD_SHARED_POOL_PCT", "30"),
        ("BUD_BURST_MAX_PCT", "20"),
        ("FCSP_FAIL", "closed"),
    ]);
    let limits = resolve("a", DEVICE, None, &env).limits;
    assert_eq!(limits.entitlement, Share::from_percent(25));
    assert_eq!(limits.quota_bytes, Some(50 * GIB));
    assert_eq!(limits.memory_mode, MemoryMode::Soft);
    assert_eq!(limits.mode, Mode::Strict);
    assert_eq!(limits.pools.burst, Share::from_percent(30));
    assert_eq!(limits.burst_max, Share::from_percent(20));
    assert_eq!(limits.fail, Fail::Closed);
    assert!(!limits.named_in_policy);
}

const NAMED: &str = "memory_mode = \"hard\"\n[[tenant]]\nname = \"a\"\ncompute = 25\nmemory = \"8G\"\n\
                     mode = \"balanced\"\nburst_max = 30\n\
                     [tenant.device.\"GPU-1\"]\nmemory = \"6G\"\n";

#[test]
fn a_named_tenant_can_lower_its_limits() {
    let env = env(&[
        ("BUD_SM_LIMIT", "10"),
        ("BUD_MEMORY_LIMIT", "1G"),
        ("BUD_ISOLATION_MODE", "strict"),
        ("BUD_BURST_MAX_PCT", "5"),
    ]);
    let resolved = resolve("a", DEVICE, Some(&policy(NAMED)), &env);
    assert_eq!(resolved.notes, []);
    assert_eq!(resolved.limits.entitlement, Share::from_percent(10));
    assert_eq!(resolved.limits.quota_bytes, Some(GIB));
    assert_eq!(resolved.limits.mode, Mode::Strict);
    assert_eq!(resolved.limits.burst_max, Share::from_percent(5));
    assert!(resolved.limits.named_in_policy);
}

#[test]
fn a_named_tenant_cannot_raise_its_limits() {
    let env = env(&[
        ("BUD_SM_LIMIT", "60"),
        ("BUD_MEMORY_LIMIT", "unlimited"),
        ("BUD_MEMORY_LIMIT_MODE", "soft"),
        ("BUD_ISOLATION_MODE", "none"),
        ("BUD_BURST_MAX_PCT", "50"),
    ]);
    let resolved = resolve("a", DEVICE, Some(&policy(NAMED)), &env);
    assert_eq!(resolved.limits.entitlement, Share::from_percent(25));
    assert_eq!(resolved.limits.quota_bytes, Some(6 * GIB));
    assert_eq!(resolved.limits.memory_mode, MemoryMode::Hard);
    assert_eq!(resolved.limits.mode, Mode::Balanced);
    assert_eq!(resolved.limits.burst_max, Share::from_percent(30));
    assert_eq!(resolved.notes.len(), 5);
    assert_eq!(
        resolved.notes[1].to_string(),
        "the environment asks for memory unlimited, the policy allows 6 GiB, and 6 GiB holds; \
         ask the operator to change the policy"
    );
}

#[test]
fn a_named_tenant_cannot_raise_its_priority() {
    let high = env(&[("BUD_PRIORITY", "high")]);
    let low = env(&[("CUDA_TASK_PRIORITY", "1")]);
    let with = |priority: &str, env: &EnvSettings| {
        let text = format!("low_priority = \"pause\"\n[[tenant]]\nname = \"a\"\n{priority}");
        resolve("a", DEVICE, Some(&policy(&text)), env)
    };
    let open = with("", &high);
    assert_eq!(open.limits.priority, Priority::Normal);
    assert_eq!(
        open.notes[0].to_string(),
        "the environment asks for priority high, the policy allows normal, and normal holds; \
         ask the operator to change the policy"
    );
    assert_eq!(with("", &low).limits.priority, Priority::Low);
    assert_eq!(
        with("priority = \"high\"", &high).limits.priority,
        Priority::High
    );
    let given = with("priority = \"high\"", &EnvSettings::default());
    assert_eq!(given.limits.priority, Priority::High);
    assert_eq!(given.limits.low_priority, LowPriority::Pause);
    let lowered = with("priority = \"low\"\nweight = 3", &high).limits;
    assert_eq!(
        (lowered.priority, lowered.weight.number()),
        (Priority::Low, 3)
    );
    let unnamed = resolve("b", DEVICE, Some(&policy(NAMED)), &high);
    assert_eq!(
        (unnamed.limits.priority, unnamed.notes),
        (Priority::High, vec![])
    );
}

#[test]
fn a_strict_tenant_cannot_shed_its_ceiling_by_asking_for_nothing() {
    let policy = policy("[[tenant]]\nname = \"a\"\ncompute = 25\nmode = \"strict\"\n");
    let limits = resolve("a", DEVICE, Some(&policy), &env(&[("BUD_SM_LIMIT", "0")])).limits;
    assert_eq!(
        (limits.mode, limits.entitlement),
        (Mode::Strict, Share::from_percent(25))
    );
}

#[test]
fn a_tenant_that_is_not_named_has_the_file_for_defaults_only() {
    let policy = policy("mode = \"none\"\nmemory_mode = \"soft\"\nfail = \"closed\"\n");
    let limits = resolve("x", DEVICE, Some(&policy), &EnvSettings::default()).limits;
    assert_eq!(
        (limits.mode, limits.memory_mode),
        (Mode::None, MemoryMode::Soft)
    );
    assert_eq!(limits.fail, Fail::Closed);
    let asked = env(&[("BUD_ISOLATION_MODE", "balanced"), ("BUD_SM_LIMIT", "90")]);
    let limits = resolve("x", DEVICE, Some(&policy), &asked).limits;
    assert_eq!(
        (limits.mode, limits.entitlement),
        (Mode::Balanced, Share::from_percent(90))
    );
}

#[test]
fn closed_cannot_be_opened_by_anybodys_environment() {
    let policy = policy("fail = \"closed\"\n");
    let resolved = resolve("x", DEVICE, Some(&policy), &env(&[("FCSP_FAIL", "open")]));
    assert_eq!(resolved.limits.fail, Fail::Closed);
    assert_eq!(resolved.notes.len(), 1);
}

#[test]
fn the_policys_division_of_a_device_is_everybodys() {
    let policy = policy("[device.\"0\"]\nmode = \"none\"\npools = { floor = 100 }\n");
    let asked = env(&[("BUD_TENANT_FLOOR_PCT", "10")]);
    let resolved = resolve("x", DEVICE, Some(&policy), &asked);
    assert_eq!(resolved.limits.pools.floor, Share::WHOLE);
    assert_eq!(resolved.limits.mode, Mode::None);
    assert_eq!(resolved.notes, [Note::PoolsFromPolicy]);
    let elsewhere = resolve(
        "x",
        Limited {
            ordinal: 1,
            ..DEVICE
        },
        Some(&policy),
        &asked,
    );
    assert_eq!(elsewhere.limits.pools.floor, Share::from_percent(10));
    assert_eq!(elsewhere.notes, []);
}

#[test]
fn strict_without_compute_is_balanced_and_says_so() {
    let asked = env(&[("BUD_ISOLATION_MODE", "strict")]);
    let resolved = resolve("x", DEVICE, None, &asked);
    assert_eq!(resolved.limits.mode, Mode::Balanced);
    assert_eq!(resolved.notes, [Note::StrictWithoutCompute]);
}

#[test]
fn an_adaptive_tenant_can_be_given_a_maximum() {
    let with = |mode: &str, most: &str| {
        let asked = env(&[
            ("BUD_ISOLATION_MODE", mode),
            ("BUD_ADAPTIVE_SM_MAX_BURST_PCT", most),
        ]);
        let resolved = resolve("x", DEVICE, None, &asked);
        (resolved.limits.burst_max.ppm() / 10_000, resolved.notes)
    };
    // Floor and shared pool give 60 %.
    assert_eq!(with("adaptive", "100"), (40, vec![]));
    assert_eq!(with("adaptive", "75"), (15, vec![]));
    assert_eq!(with("balanced", "75"), (40, vec![]));
    let least = Share::from_percent(60);
    assert_eq!(
        with("adaptive", "50"),
        (0, vec![Note::AdaptiveMaxRaised { least }])
    );
}

#[test]
fn a_variable_without_effect_is_noted() {
    let asked = env(&[("BUD_OBSERVER_INTERVAL_US", "2000")]);
    let notes = resolve("x", DEVICE, None, &asked).notes;
    assert_eq!(
        notes[0].to_string(),
        "BUD_OBSERVER_INTERVAL_US is set and has no effect: the observer is woken by what happens \
         and looks at no interval"
    );
    assert_eq!(notes.len(), 1);
}

#[test]
fn the_three_profiles_of_the_documentation_resolve() {
    for (profile, mode, [floor, shared, burst_max]) in [
        ("development", "adaptive", [10, 30, 60]),
        ("serving", "balanced", [40, 30, 30]),
        ("high-isolation", "strict", [100, 0, 0]),
    ] {
        let [floor_text, shared_text, burst_text] =
            [floor, shared, burst_max].map(|percent: u32| percent.to_string());
        let asked = env(&[
            ("BUD_ISOLATION_MODE", mode),
            ("BUD_SM_LIMIT", "30"),
            ("BUD_TENANT_FLOOR_PCT", &floor_text),
            ("BUD_SHARED_POOL_PCT", &shared_text),
            ("BUD_BURST_MAX_PCT", &burst_text),
        ]);
        let whole = policy(&format!("profile = \"{profile}\"\n"));
        let of_tenant = policy(&format!(
            "[[tenant]]\nname = \"x\"\nprofile = \"{profile}\"\ncompute = 30\n"
        ));
        let compute = env(&[("BUD_SM_LIMIT", "30")]);
        for limits in [
            resolve("x", DEVICE, None, &asked).limits,
            resolve("x", DEVICE, Some(&whole), &compute).limits,
            resolve("x", DEVICE, Some(&of_tenant), &EnvSettings::default()).limits,
        ] {
            assert_eq!(limits.mode.word(), mode);
            assert_eq!(limits.pools.floor, Share::from_percent(floor));
            assert_eq!(limits.pools.shared, Share::from_percent(shared));
            assert_eq!(limits.pools.burst, Share::from_percent(burst_max));
            assert_eq!(limits.burst_max, Share::from_percent(burst_max));
        }
    }
}

proptest! {
    #[test]
    fn no_environment_raises_a_named_tenant(
        compute in 1_u32..=100, compute_asked in 0_u32..=100,
        memory in 0_u64..200, memory_asked in 0_u64..200, ordinal in 0_u32..4,
    ) {
        let policy = policy(&format!(
            "[[tenant]]\nname = \"a\"\ncompute = {compute}\nmemory = \"{memory}G\"\n"
        ));
        let compute_text = compute_asked.to_string();
        let memory_text = format!("{memory_asked}G");
        let asked = env(&[
            ("BUD_SM_LIMIT", compute_text.as_str()),
            ("BUD_MEMORY_LIMIT", memory_text.as_str()),
        ]);
        let limits = resolve("a", Limited { ordinal, ..DEVICE }, Some(&policy), &asked).limits;
        let lowered = if compute_asked == 0 { compute } else { compute.min(compute_asked) };
        prop_assert_eq!(limits.entitlement, Share::from_percent(lowered));
        prop_assert_eq!(limits.quota_bytes, Some(memory.min(memory_asked) * GIB));
    }
}
