//! Tests of the policy file: what is accepted, and where errors point.

use super::*;
use crate::backend::{DeviceInfo, SharingMode, Vendor};

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(Path::new("p.toml"), text)
}

fn error(text: &str) -> String {
    parse(text).expect_err("should be refused").to_string()
}

const FULL: &str = r#"
fail = "closed"
low_priority = "pause"
mode = "balanced"
memory_mode = "hard"

[pools]
floor = 10
shared = "30%"

[device."GPU-1"]
mode = "none"
pools = { floor = 100 }

[[tenant]]
name = "a"
compute = "25%"
memory = "8G"
burst_max = 40
priority = "high"
fail = "open"

[tenant.device."1"]
compute = 50
memory = "50%"

[[tenant]]
name = "b"
mode = "strict"
compute = 12.5
memory = 1073741824
memory_mode = "soft"

[[tenant]]
name = "c"
priority = "low"
weight = 3
"#;

#[test]
fn every_key_is_read() {
    let policy = parse(FULL).expect("valid");
    assert_eq!(policy.fail, Some(Fail::Closed));
    assert_eq!(policy.low_priority, Some(LowPriority::Pause));
    assert_eq!(policy.mode, Some(Mode::Balanced));
    assert_eq!(policy.memory_mode, Some(MemoryMode::Hard));
    let pools = policy.pools.expect("given");
    assert_eq!(pools.burst, Share::from_percent(60));
    let device = &policy.devices["GPU-1"];
    assert_eq!(device.mode, Some(Mode::None));
    assert_eq!(device.pools.map(|pools| pools.floor), Some(Share::WHOLE));
    let a = policy.tenant("a").expect("described");
    assert_eq!(a.line, 16);
    assert_eq!(a.compute, Some(Share::from_percent(25)));
    assert_eq!(a.memory, Some(MemoryAmount::Bytes(8 << 30)));
    assert_eq!(a.burst_max, Some(Share::from_percent(40)));
    assert_eq!(a.priority, Some(Priority::High));
    assert_eq!(a.fail, Some(Fail::Open));
    assert_eq!(a.compute_on(&["GPU-9", "1"]), Some(Share::from_percent(50)));
    assert_eq!(
        a.memory_on(&["1"]),
        Some(MemoryAmount::OfDevice(Share::from_percent(50)))
    );
    assert_eq!(a.compute_on(&["GPU-9", "0"]), a.compute);
    let b = policy.tenant("b").expect("described");
    assert_eq!(b.mode, Some(Mode::Strict));
    assert_eq!(b.compute, Some(Share::from_ppm(125_000)));
    assert_eq!(b.memory, Some(MemoryAmount::Bytes(1 << 30)));
    assert_eq!(b.memory_mode, Some(MemoryMode::Soft));
    let c = policy.tenant("c").expect("described");
    assert_eq!(c.priority, Some(Priority::Low));
    assert_eq!(c.weight.map(Weight::number), Some(3));
    assert_eq!(policy.warnings(&[]), []);
}

#[test]
fn an_empty_file_is_a_policy() {
    let policy = parse("").expect("valid");
    assert!(policy.tenants.is_empty() && policy.mode.is_none());
}

#[test]
fn a_misspelt_key_is_named_with_its_place_and_what_was_meant() {
    assert_eq!(
        error("[[tenant]]\nname = \"a\"\ncomptue = 25\n"),
        "p.toml:3:1: unknown key \"comptue\"; did you mean \"compute\"?; the keys here are \
         name, profile, compute, memory, memory_mode, mode, burst_max, priority, weight, fail, device"
    );
}

#[test]
fn a_bad_value_is_named_with_its_place_and_what_would_be_right() {
    assert_eq!(
        error("[[tenant]]\nname = \"a\"\ncompute = 0.25\n"),
        "p.toml:3:11: \"0.25\" is not a share of a device: this can be read as a fraction or as a \
         percentage; write 25% or 0.25%"
    );
    assert!(error("mode = \"strickt\"").starts_with("p.toml:1:8: "));
    assert!(error("mode = \"strickt\"").ends_with("did you mean \"strict\"?"));
    assert!(error("[pools]\nfloor = 60\nshared = 60\n").contains("120%"));
    assert!(error("[[tenant]]\ncompute = 5\n").contains("missing field `name`"));
    assert!(error("[[tenant]\n").starts_with("p.toml:1:"));
    let of_a = |line: &str| error(&format!("[[tenant]]\nname = \"a\"\n{line}\n"));
    assert_eq!(
        of_a("priority = \"urgent\""),
        "p.toml:3:12: \"urgent\" is not a priority: use high, normal, low"
    );
    assert_eq!(
        of_a("weight = 1.5"),
        "p.toml:3:10: \"1.5\" is not a weight: write a whole number from 1 to 1000"
    );
    assert_eq!(
        error("low_priority = \"stop\""),
        "p.toml:1:16: \"stop\" is not a meaning of low priority: use floor, pause"
    );
}

#[test]
fn tenants_that_cannot_be_are_refused() {
    assert!(error("[[tenant]]\nname = \"a/b\"\n").starts_with("p.toml:2:8: \"a/b\" is not a"));
    let twice = "[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"\n";
    assert!(error(twice).starts_with("p.toml:4:8: tenant \"a\" was described before, in line 2"));
    let both = "[[tenant]]\nname = \"a\"\ncompute = 25\nweight = 2\n";
    assert!(error(both).starts_with("p.toml:2:8: tenant \"a\" has compute 25% and weight 2: "));
    let idle = "mode = \"strict\"\n[[tenant]]\nname = \"a\"\n";
    assert!(error(idle).contains("has no compute: it could never run"));
}

#[test]
fn strict_promises_beyond_the_device_are_refused() {
    let two = |a: u32, b: u32, extra: &str| {
        format!(
            "mode = \"strict\"\n[[tenant]]\nname = \"a\"\ncompute = {a}\n\
             [[tenant]]\nname = \"b\"\ncompute = {b}\n{extra}"
        )
    };
    assert!(parse(&two(60, 40, "")).is_ok());
    assert!(
        error(&two(60, 41, ""))
            .starts_with("p.toml:6:8: with this tenant, strict compute adds up to 101%")
    );
    let on_one = "[tenant.device.\"1\"]\ncompute = 50\n";
    assert!(error(&two(60, 40, on_one)).contains("110% on device \"1\""));
}

#[test]
fn a_profile_stands_for_what_is_not_written_out() {
    let policy = parse("profile = \"serving\"\n").expect("valid");
    assert_eq!(policy.mode, Some(Mode::Balanced));
    assert_eq!(policy.pools, Some(Profile::Serving.pools()));
    let policy = parse("profile = \"development\"\nmode = \"balanced\"\n[pools]\nfloor = 20\n");
    let policy = policy.expect("valid");
    assert_eq!(policy.mode, Some(Mode::Balanced));
    let pools = policy.pools.expect("given");
    let percents = [pools.floor, pools.shared, pools.burst].map(|it| it.ppm() / 10_000);
    assert_eq!(percents, [20, 30, 50], "what is left out is the profile's");
}

#[test]
fn a_tenants_profile_is_its_own() {
    let text = "profile = \"development\"\n[device.\"1\"]\nmode = \"none\"\n\
                [[tenant]]\nname = \"a\"\nprofile = \"high-isolation\"\ncompute = 40\n\
                [[tenant]]\nname = \"b\"\nprofile = \"serving\"\nburst_max = 5\n";
    let policy = parse(text).expect("valid");
    let (a, b) = (policy.tenant("a"), policy.tenant("b"));
    assert_eq!(policy.mode_of(a, &["1"]), Some(Mode::Strict));
    assert_eq!(
        policy.pools_of(a, &["1"]),
        Some(Profile::HighIsolation.pools())
    );
    assert_eq!(a.and_then(|a| a.burst_max), Some(Share::ZERO));
    assert_eq!(b.and_then(|b| b.burst_max), Some(Share::from_percent(5)));
    assert_eq!(policy.mode_of(None, &["1"]), Some(Mode::None));
    assert_eq!(policy.mode_of(None, &["0"]), Some(Mode::Adaptive));
    assert_eq!(
        policy.pools_of(None, &["0"]),
        Some(Profile::Development.pools())
    );
}

#[test]
fn an_unknown_profile_is_told_the_three() {
    assert_eq!(
        error("profile = \"servign\"\n"),
        "p.toml:1:11: \"servign\" is not a profile: use development, serving, high-isolation; \
         did you mean \"serving\"?"
    );
    let idle = "profile = \"high-isolation\"\n[[tenant]]\nname = \"a\"\n";
    assert!(error(idle).contains("has no compute: it could never run"));
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let text = "[[tenant]]\nname = \"a\"\ncompute = 60\nmemory = \"6G\"\n\
                [[tenant]]\nname = \"b\"\ncompute = 60\nmemory = \"60%\"\n";
    let policy = parse(text).expect("valid");
    let device = DeviceInfo {
        vendor: Vendor::Nvidia,
        id: "GPU-1".into(),
        name: "some".into(),
        total_bytes: 10 << 30,
        sharing: SharingMode::Exclusive,
        simulated: true,
    };
    let messages: Vec<String> = policy
        .warnings(&[device])
        .into_iter()
        .map(|warning| warning.message)
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with("compute adds up to 120%"));
    assert!(messages[1].starts_with("memory adds up to 12 GiB on GPU-1 (some), which has 10 GiB"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Policy::read(Path::new("/nowhere/p.toml")).expect_err("absent");
    assert!(
        error
            .to_string()
            .starts_with("cannot read the policy file /nowhere/p.toml: ")
    );
}
