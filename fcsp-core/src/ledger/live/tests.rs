use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

fn live(bytes: u64, kind: u8) -> Live {
    Live { bytes, kind }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, Live),
    Remove(u64),
    Get(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys, so that they meet again; multiples of what allocators align to.
    let key = (1..200_u64, 0..22_u32).prop_map(|(number, shift)| number << shift);
    let value = (0..1_u64 << 56, any::<u8>()).prop_map(|(bytes, kind)| live(bytes, kind));
    let step = prop_oneof![
        3 => (key.clone(), value).prop_map(|(key, live)| Step::Insert(key, live)),
        2 => key.clone().prop_map(Step::Remove),
        1 => key.prop_map(Step::Get),
    ];
    proptest::collection::vec(step, 0..2000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_behaves_as_a_hash_map(steps in steps()) {
        let map = LiveMap::new();
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(key, live) => {
                    prop_assert_eq!(map.insert(key, live), Ok(model.insert(key, live)));
                }
                Step::Remove(key) => prop_assert_eq!(map.remove(key), model.remove(&key)),
                Step::Get(key) => prop_assert_eq!(map.get(key), model.get(&key).copied()),
            }
        }
        let mut found = HashMap::new();
        map.for_each(|key, live| {
            found.insert(key, live);
        });
        prop_assert_eq!(found, model);
    }
}

#[test]
fn what_cannot_be_an_allocation_is_not_entered() {
    let map = LiveMap::new();
    assert_eq!(map.insert(0, live(1, 0)), Err(NotEntered));
    assert_eq!(map.insert(u64::MAX, live(1, 0)), Err(NotEntered));
    assert_eq!(map.insert(1, live(1 << 56, 0)), Err(NotEntered));
    assert_eq!((map.get(0), map.remove(u64::MAX)), (None, None));
    assert_eq!(map.insert(1, live((1 << 56) - 1, 255)), Ok(None));
    assert_eq!(map.remove(1), Some(live((1 << 56) - 1, 255)));
}

#[test]
fn it_grows_past_several_tables_and_finds_everything() {
    const COUNT: u64 = 500_000;
    let map = LiveMap::new();
    let address = |index: u64| 0x7f00_0000_0000 + index * 512;
    for index in 0..COUNT {
        assert_eq!(map.insert(address(index), live(index, 1)), Ok(None));
    }
    for index in (0..COUNT).step_by(2) {
        assert_eq!(map.remove(address(index)), Some(live(index, 1)));
    }
    for index in 0..COUNT {
        let expected = (index % 2 == 1).then_some(live(index, 1));
        assert_eq!(map.get(address(index)), expected);
    }
    let mut count = 0;
    map.for_each(|_, _| count += 1);
    assert_eq!(count, COUNT / 2);
}

#[test]
fn removed_places_are_used_again() {
    let map = LiveMap::new();
    // Far more keys over time than the first table holds, few at a time.
    for index in 1..1_000_000_u64 {
        assert_eq!(map.insert(index * 256, live(index, 0)), Ok(None));
        if index > 1000 {
            let old = index - 1000;
            assert_eq!(map.remove(old * 256), Some(live(old, 0)));
        }
    }
    let tables = std::iter::successors(super::table::Table::at(map.first_link()), |it| it.next());
    assert!(tables.count() <= 2);
}

#[test]
fn threads_find_their_own_and_share_nothing() {
    let map = LiveMap::new();
    std::thread::scope(|scope| {
        for thread in 0..64_u64 {
            let map = &map;
            scope.spawn(move || {
                for round in 0..200_u64 {
                    let key = |index: u64| (index * 64 + thread + 1) * 512;
                    for index in 0..20 {
                        assert_eq!(map.insert(key(index), live(round, thread as u8)), Ok(None));
                    }
                    for index in 0..20 {
                        assert_eq!(map.remove(key(index)), Some(live(round, thread as u8)));
                    }
                }
            });
        }
    });
    map.for_each(|key, _| panic!("{key} was left behind"));
}

#[test]
fn of_racing_removes_one_wins() {
    let map = LiveMap::new();
    let won_bytes = AtomicU64::new(0);
    for key in 1..=2000_u64 {
        assert_eq!(map.insert(key, live(key, 0)), Ok(None));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for key in 1..=2000_u64 {
                    if let Some(live) = map.remove(key) {
                        won_bytes.fetch_add(live.bytes, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(won_bytes.into_inner(), 2000 * 2001 / 2);
}
