//! The table: which functions are intercepted, how, and why.
//!
//! Built at compile time by [`hooks!`](crate::hooks!), read by the lookups ([`crate::dlsym`], [`crate::procaddr`]), by
//! `fcsp hooks` and by coverage tests. The name index is computed by the compiler too, so that a lookup costs one hash
//! of the name and, as a rule, one comparison; a program's start-up does hundreds.

use core::ffi::{CStr, c_char, c_void};

use crate::real::{Library, RealSymbol};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Nothing: the symbol is not exported, the call never enters us.
    Forward,
    /// Charged or credited before the driver sees it. Fails closed.
    Account,
    /// Held back until the device may be used. Fails open.
    Gate,
    /// Waits for the device: the scheduler is told before the thread waits. Fails open.
    Sync,
    /// Answered from the tenant's point of view. Fails open.
    Virtualize,
}

impl Verb {
    /// Whether a handler that failed before it called the driver is replaced by the driver itself.
    ///
    /// Accounting is not: a call that was not charged must not succeed.
    pub const fn fails_open(self) -> bool {
        !matches!(self, Verb::Account)
    }
}

/// The address of a wrapper, in a form a `static` may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapper(*const c_void);

// SAFETY: the address of a function, which is never written through.
unsafe impl Sync for Wrapper {}
// SAFETY: as above.
unsafe impl Send for Wrapper {}

impl Wrapper {
    /// Takes the address of a wrapper, cast to a plain pointer.
    pub const fn new(function: *const ()) -> Self {
        Self(function.cast())
    }

    /// The address to hand to a program.
    pub const fn address(self) -> *const c_void {
        self.0
    }
}

/// One row.
#[derive(Debug)]
pub struct Hook {
    /// The exported symbol.
    pub name: &'static CStr,
    /// What happens to a call.
    pub verb: Verb,
    /// Why, in a few words.
    pub reason: &'static str,
    /// Our function; `None` when calls are forwarded.
    pub wrapper: Option<Wrapper>,
    /// The driver's function; `None` when its signature is unknown and it is forwarded.
    pub real: Option<&'static RealSymbol>,
}

/// A vendor library's rows.
#[derive(Debug)]
pub struct Table {
    /// The library whose functions these are.
    pub library: &'static Library,
    /// All rows, in the order they were written.
    pub rows: &'static [Hook],
    index: &'static [u16],
}

const EMPTY: u16 = u16::MAX;

impl Table {
    /// Joins rows with their index. Used by [`hooks!`](crate::hooks!).
    pub const fn new(
        library: &'static Library,
        rows: &'static [Hook],
        index: &'static [u16],
    ) -> Self {
        assert!(
            index.len().is_power_of_two(),
            "an index has a power of two of slots"
        );
        Self {
            library,
            rows,
            index,
        }
    }

    /// The row of a symbol.
    ///
    /// # Safety
    ///
    /// `name` points to a NUL-terminated string.
    pub unsafe fn find(&self, name: *const c_char) -> Option<&'static Hook> {
        let mut hash = HASH_START;
        let mut length = 0;
        loop {
            // SAFETY: every earlier byte was not the terminator, so this one is inside the string.
            let byte = unsafe { *name.add(length) } as u8;
            if byte == 0 {
                break;
            }
            hash = hash_step(hash, byte);
            length += 1;
        }
        let mask = self.index.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let row = *self.index.get(slot)?;
            if row == EMPTY {
                return None;
            }
            let hook = self.rows.get(usize::from(row))?;
            // SAFETY: `name` is a string of `length` bytes, as counted above.
            let bytes = unsafe { core::slice::from_raw_parts(name.cast::<u8>(), length) };
            if hook.name.to_bytes() == bytes {
                return Some(hook);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The row of a symbol.
    pub fn row(&self, name: &CStr) -> Option<&'static Hook> {
        // SAFETY: a `CStr` is NUL-terminated.
        unsafe { self.find(name.as_ptr()) }
    }
}

// FNV-1a, 32 bits: one multiplication per byte, and good enough for a table that is half empty.
const HASH_START: u32 = 0x811c_9dc5;

const fn hash_step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// Number of index slots for a number of rows: at least twice as many.
pub const fn slots(rows: usize) -> usize {
    assert!(rows < EMPTY as usize, "a table has fewer than 65535 rows");
    (2 * rows + 1).next_power_of_two()
}

/// Computes the index of a table, and refuses to compile a table in which a name stands twice.
pub const fn index<const SLOTS: usize>(names: &[&str]) -> [u16; SLOTS] {
    let mut index = [EMPTY; SLOTS];
    let mut row = 0;
    while row < names.len() {
        let name = names[row].as_bytes();
        let mut hash = HASH_START;
        let mut at = 0;
        while at < name.len() {
            hash = hash_step(hash, name[at]);
            at += 1;
        }
        let mut slot = hash as usize & (SLOTS - 1);
        while index[slot] != EMPTY {
            assert!(
                !equal(names[index[slot] as usize].as_bytes(), name),
                "a hook table names a function twice"
            );
            slot = (slot + 1) & (SLOTS - 1);
        }
        index[slot] = row as u16;
        row += 1;
    }
    index
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    static LIBRARY: Library = Library::new(&[c"libnothing.so"]);

    const fn row(name: &'static CStr) -> Hook {
        Hook {
            name,
            verb: Verb::Forward,
            reason: "test",
            wrapper: None,
            real: None,
        }
    }

    static ROWS: &[Hook] = &[row(c"alpha"), row(c"beta"), row(c"alphabet"), row(c"a")];
    static TABLE: Table = Table::new(
        &LIBRARY,
        ROWS,
        &index::<{ slots(4) }>(&["alpha", "beta", "alphabet", "a"]),
    );

    #[test]
    fn every_row_is_found_by_its_exact_name_only() {
        for hook in ROWS {
            assert_eq!(
                TABLE.row(hook.name).map(|found| found.name),
                Some(hook.name)
            );
        }
        for stranger in [c"", c"alph", c"alphabets", c"Alpha", c"gamma"] {
            assert!(TABLE.row(stranger).is_none(), "{stranger:?} is no row");
        }
    }

    #[test]
    fn only_accounting_fails_closed() {
        assert!(!Verb::Account.fails_open());
        for verb in [Verb::Gate, Verb::Sync, Verb::Virtualize, Verb::Forward] {
            assert!(verb.fails_open(), "{verb:?}");
        }
    }
}
