//! Lists of processes that management libraries give: asked for whole, so that the tenant's own can be picked.

use core::fmt::Debug;

/// Entries asked for at first.
const ENTRIES: u32 = 256;
/// Most entries ever asked for; beyond that the library answers by itself that there is no room.
const ENTRIES_MAX: u32 = 1 << 16;

/// All entries that `ask` has. It gets room for so many, and says how many there are; `success` and `no_room` are two of
/// its answers.
///
/// # Errors
/// Any other answer of the library's.
pub fn whole<T: Copy + Default, C: Copy + Debug + PartialEq>(
    success: C,
    no_room: C,
    mut ask: impl FnMut(*mut T, &mut u32) -> C,
) -> Result<Vec<T>, C> {
    let mut room = ENTRIES;
    loop {
        let mut entries = vec![T::default(); room as usize];
        let mut count = room;
        let code = ask(entries.as_mut_ptr(), &mut count);
        if code == success {
            entries.truncate(count as usize);
            return Ok(entries);
        }
        if code != no_room || room == ENTRIES_MAX {
            return Err(code);
        }
        // Processes may come between two calls.
        room = count.max(room).saturating_mul(2).min(ENTRIES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUCCESS: u32 = 0;
    const NO_ROOM: u32 = 7;
    const LOST: u32 = 15;

    #[test]
    fn lists_are_asked_for_again_until_they_fit() {
        let mut rooms = Vec::new();
        let all = whole(SUCCESS, NO_ROOM, |place: *mut u32, count| {
            rooms.push(*count);
            if *count < 1000 {
                *count = 700;
                return NO_ROOM;
            }
            // SAFETY: there is room for 1000.
            unsafe { place.write(9) };
            *count = 1;
            SUCCESS
        });
        assert_eq!(all, Ok(vec![9]));
        assert_eq!(rooms, [256, 1400]);
        let error = whole::<u32, _>(SUCCESS, NO_ROOM, |_, _| LOST);
        assert_eq!(error, Err(LOST));
        let never = whole::<u32, _>(SUCCESS, NO_ROOM, |_, _| NO_ROOM);
        assert_eq!(never, Err(NO_ROOM));
    }
}
