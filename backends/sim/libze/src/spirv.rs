//! As much of SPIR-V as a simulated device needs: kernels and their parameters.
//!
//! Numbers are of the SPIR-V specification 1.6, sections 2.3 (layout) and 3.52 (instructions).

use std::collections::BTreeMap;

const MAGIC: u32 = 0x0723_0203;
const HEADER_WORDS: usize = 5;
const EXECUTION_MODEL_KERNEL: u32 = 6;

const ENTRY_POINT: u32 = 15;
const TYPE_INT: u32 = 21;
const TYPE_FLOAT: u32 = 22;
const TYPE_VECTOR: u32 = 23;
const TYPE_POINTER: u32 = 32;
const FUNCTION: u32 = 54;
const FUNCTION_PARAMETER: u32 = 55;

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Sizes of its parameters in bytes; none where the program alone knows it, as of a structure passed by value.
    pub parameters: Vec<Option<usize>>,
}

/// Reads a module; nothing if it is none.
pub fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let words: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| Some(u32::from_le_bytes(chunk.try_into().ok()?)))
        .collect::<Option<_>>()?;
    if words.len() < HEADER_WORDS || words[0] != MAGIC {
        return None;
    }
    let mut kernels = Vec::new();
    let mut sizes = BTreeMap::new();
    let mut parameters: BTreeMap<u32, Vec<Option<usize>>> = BTreeMap::new();
    let mut function = 0;
    let mut rest = &words[HEADER_WORDS..];
    while let Some(first) = rest.first() {
        let (length, opcode) = ((first >> 16) as usize, first & 0xffff);
        let instruction = rest.get(..length).filter(|it| !it.is_empty())?;
        let word = |at: usize| instruction.get(at).copied();
        match opcode {
            ENTRY_POINT if word(1)? == EXECUTION_MODEL_KERNEL => {
                kernels.push((word(2)?, text(instruction.get(3..)?)?));
            }
            TYPE_INT | TYPE_FLOAT => {
                sizes.insert(word(1)?, word(2)? as usize / 8);
            }
            TYPE_VECTOR => {
                if let Some(element) = sizes.get(&word(2)?) {
                    // A vector of three takes the room of four.
                    let count = (word(3)? as usize).next_power_of_two();
                    sizes.insert(word(1)?, element * count);
                }
            }
            FUNCTION => function = word(2)?,
            FUNCTION_PARAMETER => {
                let size = sizes.get(&word(1)?).copied();
                parameters.entry(function).or_default().push(size);
            }
            // A pointer may stand for what is passed by value.
            TYPE_POINTER => {}
            _ => {}
        }
        rest = &rest[length..];
    }
    Some(
        kernels
            .into_iter()
            .map(|(function, name)| Entry {
                name,
                parameters: parameters.get(&function).cloned().unwrap_or_default(),
            })
            .collect(),
    )
}

/// A text that ends with a NUL, four bytes to a word.
fn text(words: &[u32]) -> Option<String> {
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(instructions: &[&[u32]]) -> Vec<u8> {
        let mut words = vec![MAGIC, 0x0001_0000, 0, 100, 0];
        for instruction in instructions {
            words.push((instruction.len() as u32) << 16 | instruction[0]);
            words.extend(&instruction[1..]);
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn kernels_and_their_parameters_are_found() {
        let name = [
            u32::from_le_bytes(*b"fcsp"),
            u32::from_le_bytes(*b"_wor"),
            u32::from_le_bytes(*b"k\0\0\0"),
        ];
        let bytes = module(&[
            &[
                ENTRY_POINT,
                EXECUTION_MODEL_KERNEL,
                9,
                name[0],
                name[1],
                name[2],
            ],
            &[TYPE_INT, 1, 32, 0],
            &[TYPE_INT, 2, 64, 0],
            &[TYPE_POINTER, 3, 5, 2],
            &[FUNCTION, 4, 8, 0, 5],
            &[FUNCTION_PARAMETER, 1, 20],
            &[FUNCTION, 4, 9, 0, 5],
            &[FUNCTION_PARAMETER, 1, 21],
            &[FUNCTION_PARAMETER, 3, 22],
            &[FUNCTION_PARAMETER, 2, 23],
        ]);
        let entry = Entry {
            name: "fcsp_work".into(),
            parameters: vec![Some(4), None, Some(8)],
        };
        assert_eq!(parse(&bytes), Some(vec![entry]));
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_no_module() {
        assert_eq!(parse(b"\x7fELF and so on..."), None);
        let mut bytes = module(&[&[TYPE_INT, 1, 32, 0]]);
        bytes.truncate(bytes.len() - 4);
        assert_eq!(parse(&bytes), None);
    }
}
