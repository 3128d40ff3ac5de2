//! `docs/policy.md` says what this module does: its examples are valid, and it leaves nothing out.

use super::{EnvSettings, Policy, Profile, env, unheeded};
use std::path::Path;

const DOCS: &str = include_str!("../../../docs/policy.md");

/// The text of every block fenced with that language.
fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let fence = format!("```{language}\n");
    DOCS.match_indices(fence.clone().as_str())
        .map(move |(start, _)| {
            let text = &DOCS[start + fence.len()..];
            &text[..text.find("\n```").expect("every block is closed") + 1]
        })
        .collect::<Vec<_>>()
        .into_iter()
}

#[test]
fn every_example_is_a_valid_policy() {
    let examples: Vec<_> = blocks("toml").collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        Policy::parse(Path::new("docs/policy.md"), example).expect("documented");
    }
}

#[test]
fn every_profile_is_a_valid_environment() {
    let examples = blocks("sh").filter(|block| block.starts_with("export"));
    let mut count = 0;
    for (example, profile) in examples.zip(Profile::ALL) {
        count += 1;
        let variables = example.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.into(), value.into()))
        });
        let (settings, errors) = EnvSettings::read(variables);
        assert_eq!((errors, &settings.unheeded), (vec![], &vec![]));
        let pools = profile.pools();
        assert_eq!(settings.mode, Some(profile.mode()));
        assert_eq!(settings.floor, Some(pools.floor));
        assert_eq!(settings.shared, Some(pools.shared));
        assert_eq!(settings.burst_max, Some(profile.burst_max()));
    }
    assert_eq!(count, 3);
}

#[test]
fn every_profile_is_described() {
    for profile in Profile::ALL {
        let row = format!(
            "| `{profile}` | `{}` | {} / {} / {} |",
            profile.mode(),
            profile.pools().floor,
            profile.pools().shared,
            profile.pools().burst
        );
        assert!(DOCS.contains(&row), "{row}");
    }
}

#[test]
fn every_variable_is_described() {
    let read = env::VARIABLES.iter().map(|(name, _)| *name);
    for name in read.chain(unheeded::names()) {
        assert!(DOCS.contains(&format!("`{name}`")), "{name}");
    }
}
