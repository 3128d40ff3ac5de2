//! Reads the symbol tables of loaded objects, for the few questions the dynamic linker cannot be asked.
//!
//! We export `dlsym`, so `dlsym` cannot be used to find the real one; and "which object comes first" is not in any
//! interface. Nothing here allocates or calls into the dynamic linker, except to list the loaded objects.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ops::ControlFlow;
use core::{ptr, slice};

use libc::{Elf64_Phdr, Elf64_Sym, dl_phdr_info};

const DT_HASH: i64 = 4;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const STN_UNDEF: u32 = 0;
const SHN_UNDEF: u16 = 0;
const STT_FUNC: u8 = 2;

/// A loaded object, valid during the visit.
pub struct Object<'a> {
    info: &'a dl_phdr_info,
}

/// Visits the loaded objects in load order: the program, preloaded libraries, then the rest.
pub fn visit<B>(mut visitor: impl FnMut(&Object) -> ControlFlow<B>) -> Option<B> {
    struct Visit<'a, B> {
        visitor: &'a mut dyn FnMut(&Object) -> ControlFlow<B>,
        result: Option<B>,
    }
    unsafe extern "C" fn each<B>(info: *mut dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
        // SAFETY: `data` is the `Visit` below, which outlives the call and is used by this thread alone.
        let visit = unsafe { &mut *data.cast::<Visit<B>>() };
        // SAFETY: the C library passes a description that is valid for this call.
        let info = unsafe { &*info };
        let object = Object { info };
        match (visit.visitor)(&object) {
            ControlFlow::Continue(()) => 0,
            ControlFlow::Break(result) => {
                visit.result = Some(result);
                1
            }
        }
    }
    let mut visit = Visit {
        visitor: &mut visitor,
        result: None,
    };
    // SAFETY: `each` has the expected type, and `visit` lives until the function returns.
    unsafe { libc::dl_iterate_phdr(Some(each::<B>), ptr::from_mut(&mut visit).cast()) };
    visit.result
}

impl Object<'_> {
    /// File name without directories; empty for the program itself.
    pub fn file_name(&self) -> &[u8] {
        if self.info.dlpi_name.is_null() {
            return &[];
        }
        // SAFETY: a non-null name is NUL-terminated.
        let path = unsafe { CStr::from_ptr(self.info.dlpi_name) }.to_bytes();
        path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
    }

    fn segments(&self) -> &[Elf64_Phdr] {
        if self.info.dlpi_phdr.is_null() {
            return &[];
        }
        // SAFETY: the C library describes that many headers, mapped while the object is.
        unsafe { slice::from_raw_parts(self.info.dlpi_phdr, usize::from(self.info.dlpi_phnum)) }
    }

    fn at(&self, offset: u64) -> u64 {
        self.info.dlpi_addr.wrapping_add(offset)
    }

    /// Whether an address lies in one of the object's mapped segments.
    pub fn contains(&self, address: *const c_void) -> bool {
        let address = address.addr() as u64;
        self.segments()
            .iter()
            .filter(|segment| segment.p_type == libc::PT_LOAD)
            .any(|segment| {
                let start = self.at(segment.p_vaddr);
                (start..start.wrapping_add(segment.p_memsz)).contains(&address)
            })
    }

    /// The object's unwind tables, `PT_GNU_EH_FRAME`.
    pub fn unwind_table(&self) -> Option<*mut c_void> {
        let segment = self
            .segments()
            .iter()
            .find(|segment| segment.p_type == libc::PT_GNU_EH_FRAME)?;
        Some(self.at(segment.p_vaddr) as *mut c_void)
    }

    /// The address of a function the object defines and exports.
    pub fn function(&self, name: &CStr) -> Option<*mut c_void> {
        let symbols = self.symbols()?;
        // SAFETY: the tables are the object's own, found through its dynamic section, and mapped during the visit.
        let symbol = unsafe { symbols.find(name) }?;
        (symbol.st_info & 0xf == STT_FUNC).then(|| self.at(symbol.st_value) as *mut c_void)
    }

    /// Whether the object defines and exports a symbol of any kind.
    pub fn defines(&self, name: &CStr) -> bool {
        // SAFETY: as in `function`.
        self.symbols()
            .is_some_and(|symbols| unsafe { symbols.find(name) }.is_some())
    }

    fn symbols(&self) -> Option<Symbols> {
        let dynamic = self
            .segments()
            .iter()
            .find(|segment| segment.p_type == libc::PT_DYNAMIC)?;
        let mut entry = self.at(dynamic.p_vaddr) as *const Dynamic;
        let mut symbols = Symbols {
            table: ptr::null(),
            strings: ptr::null(),
            gnu_hash: ptr::null(),
            hash: ptr::null(),
        };
        loop {
            // SAFETY: the dynamic section ends with a null tag, which was not met yet.
            let Dynamic { tag, value } = unsafe { ptr::read(entry) };
            // glibc has relocated these values; musl and the kernel's object have not.
            let value = if value < self.info.dlpi_addr {
                self.at(value)
            } else {
                value
            };
            match tag {
                0 => break,
                DT_HASH => symbols.hash = value as *const u32,
                DT_GNU_HASH => symbols.gnu_hash = value as *const u32,
                DT_STRTAB => symbols.strings = value as *const c_char,
                DT_SYMTAB => symbols.table = value as *const Elf64_Sym,
                _ => {}
            }
            // SAFETY: not at the end yet.
            entry = unsafe { entry.add(1) };
        }
        (!symbols.table.is_null() && !symbols.strings.is_null()).then_some(symbols)
    }
}

/// An entry of the dynamic section.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: u64,
}

/// Where an object keeps its dynamic symbols.
struct Symbols {
    table: *const Elf64_Sym,
    strings: *const c_char,
    gnu_hash: *const u32,
    hash: *const u32,
}

impl Symbols {
    /// # Safety
    ///
    /// The pointers are those of a loaded object.
    unsafe fn find(&self, name: &CStr) -> Option<Elf64_Sym> {
        // SAFETY: passed on.
        unsafe {
            if !self.gnu_hash.is_null() {
                self.find_gnu(name)
            } else if !self.hash.is_null() {
                self.find_sysv(name)
            } else {
                None
            }
        }
    }

    /// # Safety
    ///
    /// `index` is the index of a symbol.
    unsafe fn defined(&self, index: u32, name: &CStr) -> Option<Elf64_Sym> {
        // SAFETY: by contract; the string table holds the name at the symbol's offset.
        let (symbol, found) = unsafe {
            let symbol = ptr::read(self.table.add(index as usize));
            (
                symbol,
                CStr::from_ptr(self.strings.add(symbol.st_name as usize)),
            )
        };
        (symbol.st_shndx != SHN_UNDEF && found == name).then_some(symbol)
    }

    /// Layout: number of buckets, first hashed symbol, filter words, filter shift, filter, buckets, chains.
    ///
    /// # Safety
    ///
    /// `gnu_hash` is a loaded object's `DT_GNU_HASH`.
    unsafe fn find_gnu(&self, name: &CStr) -> Option<Elf64_Sym> {
        // SAFETY: all reads follow the layout above.
        unsafe {
            let (buckets_len, first, filter_words) =
                (*self.gnu_hash, *self.gnu_hash.add(1), *self.gnu_hash.add(2));
            if buckets_len == 0 {
                return None;
            }
            // The filter's words are 64 bits wide.
            let buckets = self.gnu_hash.add(4 + 2 * filter_words as usize);
            let chains = buckets.add(buckets_len as usize);
            let hash = name.to_bytes().iter().fold(5381u32, |hash, &byte| {
                hash.wrapping_mul(33).wrapping_add(u32::from(byte))
            });
            let mut index = *buckets.add((hash % buckets_len) as usize);
            if index < first {
                return None;
            }
            loop {
                let chain = *chains.add((index - first) as usize);
                if chain | 1 == hash | 1
                    && let Some(symbol) = self.defined(index, name)
                {
                    return Some(symbol);
                }
                if chain & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// Layout: number of buckets, number of chains, buckets, chains.
    ///
    /// # Safety
    ///
    /// `hash` is a loaded object's `DT_HASH`.
    unsafe fn find_sysv(&self, name: &CStr) -> Option<Elf64_Sym> {
        // SAFETY: all reads follow the layout above.
        unsafe {
            let buckets_len = *self.hash;
            if buckets_len == 0 {
                return None;
            }
            let buckets = self.hash.add(2);
            let chains = buckets.add(buckets_len as usize);
            let hash = name.to_bytes().iter().fold(0u32, |hash, &byte| {
                let hash = (hash << 4).wrapping_add(u32::from(byte));
                let high = hash & 0xf000_0000;
                (hash ^ high >> 24) & !high
            });
            let mut index = *buckets.add((hash % buckets_len) as usize);
            while index != STN_UNDEF {
                if let Some(symbol) = self.defined(index, name) {
                    return Some(symbol);
                }
                index = *chains.add(index as usize);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libc_function(name: &CStr) -> Option<*mut c_void> {
        visit(|object| {
            if object.file_name().starts_with(b"libc.so") {
                ControlFlow::Break(object.function(name))
            } else {
                ControlFlow::Continue(())
            }
        })
        .flatten()
    }

    #[test]
    fn a_function_is_found_where_the_dynamic_linker_finds_it() {
        for name in [c"abs", c"qsort", c"strtol", c"dl_iterate_phdr"] {
            // SAFETY: a valid name.
            let expected = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            assert_eq!(libc_function(name), Some(expected), "{name:?}");
        }
        assert_eq!(libc_function(c"fcsp_no_such_function"), None);
        assert_eq!(libc_function(c"environ"), None, "a variable is no function");
    }

    #[test]
    fn an_address_belongs_to_exactly_one_object() {
        let mine = an_address_belongs_to_exactly_one_object as *const c_void;
        let mut owners = 0;
        let none: Option<()> = visit(|object| {
            owners += u32::from(object.contains(mine));
            ControlFlow::Continue(())
        });
        assert!(none.is_none());
        assert_eq!(owners, 1);
    }
}
