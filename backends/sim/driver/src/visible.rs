//! `CUDA_VISIBLE_DEVICES`: which devices a process sees, and in which order.

/// Indices of the visible devices.
///
/// As in the driver: numbers or `GPU-<uuid>` prefixes that name one device; the list ends at the
/// first entry that names none, and an entry given twice hides everything.
pub fn select(variable: Option<&str>, uuids: &[[u8; 16]]) -> Vec<usize> {
    let Some(list) = variable else {
        return (0..uuids.len()).collect();
    };
    let mut chosen = Vec::new();
    for entry in list.split(',') {
        let Some(index) = find(entry.trim(), uuids) else {
            break;
        };
        if chosen.contains(&index) {
            return Vec::new();
        }
        chosen.push(index);
    }
    chosen
}

fn find(entry: &str, uuids: &[[u8; 16]]) -> Option<usize> {
    if let Some(prefix) = entry.strip_prefix("GPU-") {
        let prefix: String = prefix.chars().filter(|c| *c != '-').collect();
        let mut matching = uuids.iter().enumerate().filter(|(_, uuid)| {
            let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
            !prefix.is_empty() && hex.starts_with(&prefix.to_ascii_lowercase())
        });
        let (index, _) = matching.next()?;
        return matching.next().is_none().then_some(index);
    }
    entry.parse().ok().filter(|index| *index < uuids.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUIDS: [[u8; 16]; 3] = [[0xab; 16], [0xcd; 16], [0xce; 16]];

    #[test]
    fn no_variable_shows_all_and_an_empty_one_none() {
        assert_eq!(select(None, &UUIDS), [0, 1, 2]);
        assert_eq!(select(Some(""), &UUIDS), [0; 0]);
    }

    #[test]
    fn order_counts_and_the_list_ends_at_the_first_unknown() {
        assert_eq!(select(Some("2,0"), &UUIDS), [2, 0]);
        assert_eq!(select(Some("1,7,0"), &UUIDS), [1]);
        assert_eq!(select(Some("1,-1,0"), &UUIDS), [1]);
        assert_eq!(select(Some("1,1"), &UUIDS), [0; 0]);
    }

    #[test]
    fn a_uuid_prefix_has_to_be_unique() {
        assert_eq!(select(Some("GPU-cd,GPU-ababab"), &UUIDS), [1, 0]);
        assert_eq!(select(Some("GPU-c"), &UUIDS), [0; 0]);
        let full = "GPU-cececece-cece-cece-cece-cececececece";
        assert_eq!(select(Some(full), &UUIDS), [2]);
    }
}
