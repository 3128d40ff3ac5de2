//! Processors for programs that are to stay out of each other's way.

use std::fs;

/// For everything else: this harness, the driver's threads, whoever else is on the host.
const LEFT_MIN: usize = 4;

/// `N` lists of `each` processors, for `bench.py --cpus`; no processor is in two. The last of those this harness may
/// run on, since interrupts and other programs tend to be on the first. Nothing where too few would be left.
pub fn apart<const N: usize>(each: usize) -> Option<[String; N]> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    // A container's quota allows for fewer at a time than it may run on.
    let at_once = std::thread::available_parallelism().ok()?.get();
    choose(&numbers(list.trim())?, at_once, each)
}

fn choose<const N: usize>(allowed: &[usize], at_once: usize, each: usize) -> Option<[String; N]> {
    let taken = N * each;
    if allowed.len().min(at_once) < taken + LEFT_MIN {
        return None;
    }
    let last = &allowed[allowed.len() - taken..];
    let text = |numbers: &[usize]| {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        numbers.join(",")
    };
    Some(std::array::from_fn(|group| {
        text(&last[group * each..(group + 1) * each])
    }))
}

/// A kernel's list, `0-3,8` say, number by number.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_list_is_read_number_by_number() {
        assert_eq!(numbers("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(numbers("0-x"), None);
    }

    #[test]
    fn groups_are_the_last_ones_and_some_are_left() {
        let all = numbers("0-5,8-13").expect("a list");
        let two = ["4,5,8,9", "10,11,12,13"].map(String::from);
        assert_eq!(choose::<2>(&all, 12, 4), Some(two));
        assert_eq!(choose::<2>(&all[1..], 12, 4), None);
        assert_eq!(choose::<2>(&all, 11, 4), None, "a quota of eleven");
        assert_eq!(choose::<1>(&all, 11, 2), Some(["12,13".to_owned()]));
    }
}
