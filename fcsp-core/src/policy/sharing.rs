//! What the operator wants of a device: that its programs run together, or that they take turns.
//!
//! The word stands in the policy file, for every device or for one, and in the region's header. What
//! is in force follows from it and from what the programs on the device can do: see
//! [`crate::region::sharing`].

use super::mode::words;
use super::nearest::hint;
use super::{Policy, ValueError};
use std::fmt;
use std::str::FromStr;

/// How the programs on a device are to share it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Together where all of them can, else in turns.
    #[default]
    Auto = 0,
    /// In turns, also where they could run together.
    Exclusive = 1,
    /// Together; where some cannot, in turns with a warning.
    Concurrent = 2,
}

impl Sharing {
    /// Every choice, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Exclusive, Self::Concurrent];

    /// The choice with that number; an unknown number is the default.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Exclusive,
            2 => Self::Concurrent,
            _ => Self::Auto,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The word for it in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exclusive => "exclusive",
            Self::Concurrent => "concurrent",
        }
    }
}

words!(Sharing, "a way to share");

impl Policy {
    /// What the file says about the device that `keys` (identity, number) name, the first key first.
    pub fn sharing_on(&self, keys: &[&str]) -> Sharing {
        keys.iter()
            .find_map(|key| self.devices.get(*key)?.sharing)
            .or(self.sharing)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn numbers_and_words_lead_back_to_the_choice() {
        for sharing in Sharing::ALL {
            assert_eq!(Sharing::from_number(sharing.number()), sharing);
            assert_eq!(sharing.word().parse(), Ok(sharing));
        }
        assert_eq!(Sharing::from_number(0), Sharing::default());
        assert_eq!(Sharing::from_number(99), Sharing::default());
    }

    #[test]
    fn a_device_goes_before_the_file_and_its_identity_before_its_number() {
        let text = "sharing = \"exclusive\"\n[device.\"1\"]\nsharing = \"auto\"\n\
                    [device.\"GPU-1\"]\nsharing = \"concurrent\"\n[device.\"2\"]\nmode = \"none\"\n";
        let policy = Policy::parse(Path::new("p.toml"), text).expect("valid");
        assert_eq!(policy.sharing_on(&["GPU-0", "0"]), Sharing::Exclusive);
        assert_eq!(policy.sharing_on(&["GPU-0", "1"]), Sharing::Auto);
        assert_eq!(policy.sharing_on(&["GPU-1", "1"]), Sharing::Concurrent);
        assert_eq!(policy.sharing_on(&["GPU-2", "2"]), Sharing::Exclusive);
        assert_eq!(Policy::default().sharing_on(&["GPU-0"]), Sharing::Auto);
    }

    #[test]
    fn a_misspelt_word_is_told_where_it_stands_and_what_was_meant() {
        let error = Policy::parse(
            Path::new("p.toml"),
            "mode = \"none\"\nsharing = \"exlusive\"\n",
        )
        .expect_err("misspelt")
        .to_string();
        assert!(error.starts_with("p.toml:2:11: "), "{error}");
        assert!(error.contains("did you mean \"exclusive\"?"), "{error}");
        assert!(Policy::parse(Path::new("p.toml"), "sharing = true\n").is_err());
        let of_tenant = "[[tenant]]\nname = \"a\"\nsharing = \"auto\"\n";
        let error =
            Policy::parse(Path::new("p.toml"), of_tenant).expect_err("a device's, not a tenant's");
        assert!(
            error.to_string().contains("unknown key \"sharing\""),
            "{error}"
        );
    }
}
