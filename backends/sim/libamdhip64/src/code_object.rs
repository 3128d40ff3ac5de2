//! Reads what clang makes of HIP kernels: fat binaries, and the code objects in them.
//!
//! A fat binary bundles one ELF file per processor. Its note of type `NT_AMDGPU_METADATA` names the kernels and their
//! arguments (LLVM, "User Guide for AMDGPU Backend", code object V3 and later); its symbols name device variables.

use fcsp_sim_driver::module::{Entry, Parameter, Program};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol, ObjectSymbolTable};
use rmpv::Value;

/// The processor whose code the simulated device takes.
pub const PROCESSOR: &str = "gfx90a";

/// Type of the note with the metadata, `NT_AMDGPU_METADATA`.
const METADATA_NOTE: u32 = 32;

const MAGIC: &[u8] = b"__CLANG_OFFLOAD_BUNDLE__";

/// A code object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// What it declares.
    pub program: Program,
    /// First contents of variables, where they are not zeros.
    pub contents: Vec<(String, Vec<u8>)>,
}

/// Why there is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is no code object and no bundle of any.
    Image,
    /// It has no code for this processor.
    Processor,
}

/// The code for this processor in a bundle that begins at `image`.
///
/// # Safety
/// `image` points to a bundle or to an ELF file, complete.
pub unsafe fn find<'a>(image: *const u8) -> Result<&'a [u8], Unusable> {
    // SAFETY: either begins with more bytes than these.
    let head = unsafe { std::slice::from_raw_parts(image, 64) };
    if head.starts_with(b"\x7fELF") {
        // SAFETY: an ELF file is as long as its section headers say.
        return Ok(unsafe { std::slice::from_raw_parts(image, elf_bytes(head)) });
    }
    if !head.starts_with(MAGIC) {
        return Err(Unusable::Image);
    }
    // SAFETY: a bundle's table of contents follows its magic: offset, size, length of the name, name.
    unsafe {
        let number = |at: usize| image.add(at).cast::<u64>().read_unaligned();
        let mut at = MAGIC.len() + 8;
        for _ in 0..number(MAGIC.len()) {
            let (offset, bytes, length) = (number(at), number(at + 8), number(at + 16) as usize);
            let name = std::slice::from_raw_parts(image.add(at + 24), length);
            at += 24 + length;
            if is_ours(&String::from_utf8_lossy(name)) {
                return Ok(std::slice::from_raw_parts(
                    image.add(offset as usize),
                    bytes as usize,
                ));
            }
        }
    }
    Err(Unusable::Processor)
}

/// `hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-`: what follows the colon does not matter here.
fn is_ours(name: &str) -> bool {
    let target = name.rsplit('-').next().unwrap_or("");
    let with_features = name.rsplit("--").next().unwrap_or(target);
    name.starts_with("hip") && with_features.split(':').next() == Some(PROCESSOR)
}

/// Length of an ELF file whose section headers stand at its end, as linkers write it.
fn elf_bytes(head: &[u8]) -> usize {
    let number = |at: usize, bytes: usize| {
        head[at..at + bytes]
            .iter()
            .rev()
            .fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
    };
    number(0x28, 8) + number(0x3a, 2) * number(0x3c, 2)
}

/// Reads a code object.
///
/// # Errors
/// It is none.
pub fn read(bytes: &[u8]) -> Result<Code, Unusable> {
    parse(bytes).ok_or(Unusable::Image)
}

fn parse(bytes: &[u8]) -> Option<Code> {
    let file = ElfFile64::<Endianness>::parse(bytes).ok()?;
    let endian = file.endian();
    let mut code = Code::default();
    for section in file.elf_section_table().iter() {
        let Ok(Some(mut notes)) = section.notes(endian, bytes) else {
            continue;
        };
        while let Ok(Some(note)) = notes.next() {
            if note.n_type(endian) == METADATA_NOTE {
                let mut text = note.desc();
                code.program.entries = kernels(&rmpv::decode::read_value(&mut text).ok()?)?;
            }
        }
    }
    for symbol in file.dynamic_symbol_table()?.symbols() {
        let variable = symbol.elf_symbol().st_type() == elf::STT_OBJECT;
        let Ok(name) = symbol.name() else { continue };
        // `k.kd` describes the kernel `k`.
        if !variable || !symbol.is_definition() || name.ends_with(".kd") {
            continue;
        }
        code.program.globals.push((name.to_owned(), symbol.size()));
        let section = symbol.section_index().and_then(|index| {
            let section = file.elf_section_table().section(index).ok()?;
            let data = section.data(endian, bytes).ok()?;
            let start = symbol.address().checked_sub(section.sh_addr(endian))? as usize;
            data.get(start..start + symbol.size() as usize)
        });
        if let Some(data) = section.filter(|data| data.iter().any(|byte| *byte != 0)) {
            code.contents.push((name.to_owned(), data.to_vec()));
        }
    }
    file.elf_header()
        .e_machine(endian)
        .eq(&elf::EM_AMDGPU)
        .then_some(code)
}

fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    map.as_map()?
        .iter()
        .find(|(key, _)| key.as_str() == Some(name))
        .map(|(_, value)| value)
}

fn kernels(metadata: &Value) -> Option<Vec<Entry>> {
    field(metadata, "amdhsa.kernels")?
        .as_array()?
        .iter()
        .map(|kernel| {
            let none = Vec::new();
            let arguments = field(kernel, ".args")
                .and_then(Value::as_array)
                .unwrap_or(&none);
            let parameters = arguments
                .iter()
                // What the compiler adds is not the program's to pass.
                .filter(|argument| {
                    field(argument, ".value_kind")
                        .and_then(Value::as_str)
                        .is_some_and(|kind| !kind.starts_with("hidden_"))
                })
                .map(|argument| {
                    Some(Parameter {
                        offset: field(argument, ".offset")?.as_u64()? as usize,
                        bytes: field(argument, ".size")?.as_u64()? as usize,
                    })
                })
                .collect::<Option<Vec<_>>>()?;
            Some(Entry {
                name: field(kernel, ".name")?.as_str()?.to_owned(),
                parameters,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_targets_are_told_apart() {
        assert!(is_ours("hipv4-amdgcn-amd-amdhsa--gfx90a"));
        assert!(is_ours("hipv4-amdgcn-amd-amdhsa--gfx90a:sramecc+:xnack-"));
        assert!(is_ours("hip-amdgcn-amd-amdhsa--gfx90a"));
        assert!(!is_ours("hipv4-amdgcn-amd-amdhsa--gfx908"));
        assert!(!is_ours("host-x86_64-unknown-linux--"));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let text = [b'x'; 64];
        // SAFETY: as long as what is looked at.
        assert_eq!(unsafe { find(text.as_ptr()) }, Err(Unusable::Image));
        assert_eq!(read(&text), Err(Unusable::Image));
    }

    #[test]
    fn metadata_names_kernels_and_their_arguments() {
        let argument = |offset: u64, size: u64, kind: &str| {
            Value::Map(vec![
                (".offset".into(), offset.into()),
                (".size".into(), size.into()),
                (".value_kind".into(), kind.into()),
            ])
        };
        let kernel = Value::Map(vec![
            (".name".into(), "k".into()),
            (
                ".args".into(),
                Value::Array(vec![
                    argument(0, 4, "by_value"),
                    argument(8, 8, "global_buffer"),
                    argument(16, 8, "hidden_global_offset_x"),
                ]),
            ),
        ]);
        let metadata = Value::Map(vec![("amdhsa.kernels".into(), Value::Array(vec![kernel]))]);
        let entries = kernels(&metadata).expect("kernels");
        assert_eq!(entries[0].name, "k");
        let parameter = |offset, bytes| Parameter { offset, bytes };
        assert_eq!(entries[0].parameters, [parameter(0, 4), parameter(8, 8)]);
    }
}
