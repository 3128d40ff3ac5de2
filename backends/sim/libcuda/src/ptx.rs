//! As much of PTX as a simulated device needs: kernels, their parameters, global variables.

use fcsp_sim_driver::module::{Entry, Parameter, Program};

/// Reads PTX; nothing if it is none (every PTX text states its version).
pub fn parse(source: &str) -> Option<Program> {
    let source = without_comments(source);
    if !source.contains(".version") || !source.contains(".target") {
        return None;
    }
    let mut program = Program::default();
    let mut rest = source.as_str();
    while let Some(at) = rest.find(".entry") {
        rest = &rest[at + ".entry".len()..];
        let head = &rest[..rest.find(['{', ';']).unwrap_or(rest.len())];
        let (name, parameters) = match head.split_once('(') {
            Some((name, list)) => (name, parse_parameters(list.rsplit_once(')')?.0)?),
            None => (head, Vec::new()),
        };
        let name = name.split_whitespace().next()?.to_owned();
        program.entries.push(Entry { name, parameters });
    }
    for statement in source.split([';', '{', '}']) {
        if let Some(global) = parse_global(statement) {
            program.globals.push(global);
        }
    }
    Some(program)
}

fn without_comments(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('/') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = match rest.as_bytes().get(1) {
            Some(b'/') => rest.find('\n').unwrap_or(rest.len()),
            Some(b'*') => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            _ => {
                text.push('/');
                1
            }
        };
        rest = &rest[end..];
    }
    text.push_str(rest);
    text
}

/// `.param .u32 a, .param .align 8 .b8 b[16]`.
fn parse_parameters(list: &str) -> Option<Vec<Parameter>> {
    let mut offset = 0_usize;
    let mut parameters = Vec::new();
    for declaration in list
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let mut element = None;
        let mut align = None;
        let mut tokens = declaration.split_whitespace();
        while let Some(token) = tokens.next() {
            match token {
                ".align" => align = tokens.next()?.parse::<usize>().ok(),
                ".ptr" => break,
                token => element = element.or(type_bytes(token)),
            }
        }
        let element = element?;
        let count = match declaration.split_once('[') {
            Some((_, count)) => count.split_once(']')?.0.trim().parse::<usize>().ok()?,
            None => 1,
        };
        let align = align
            .filter(|align| align.is_power_of_two())
            .unwrap_or(element);
        offset = offset.next_multiple_of(align.max(1));
        parameters.push(Parameter {
            offset,
            bytes: element * count,
        });
        offset += element * count;
    }
    Some(parameters)
}

/// `.visible .global .align 4 .b8 name[16]`.
fn parse_global(statement: &str) -> Option<(String, u64)> {
    let declaration = statement.split('=').next()?;
    let mut tokens = declaration
        .split_whitespace()
        .skip_while(|token| *token != ".global");
    tokens.next()?;
    let mut element = None;
    let mut name = None;
    while let Some(token) = tokens.next() {
        match token {
            ".align" => {
                tokens.next()?;
            }
            token if token.starts_with('.') => element = element.or(type_bytes(token)),
            token => name = name.or(Some(token)),
        }
    }
    let name = name?;
    let count = match name.split_once('[') {
        Some((_, count)) => count.split_once(']')?.0.parse::<u64>().ok()?,
        None => 1,
    };
    Some((name.split('[').next()?.to_owned(), element? as u64 * count))
}

fn type_bytes(token: &str) -> Option<usize> {
    let bits = token
        .strip_prefix(".u")
        .or_else(|| token.strip_prefix(".s"));
    let bits = bits
        .or_else(|| token.strip_prefix(".b"))
        .or_else(|| token.strip_prefix(".f"))?;
    match bits {
        "8" => Some(1),
        "16" => Some(2),
        "32" => Some(4),
        "64" => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_and_their_parameters_are_found() {
        let source = "
            .version 6.0 // a comment with .entry inside
            .target sm_50
            .address_size 64
            /* .entry hidden() */
            .visible .global .align 8 .b8 table[64];
            .global .u32 flag = 7;
            .visible .entry fcsp_work(
                .param .u32 iters,
                .param .u64 counter,
                .param .u64 add
            ) { .reg .u32 %r<4>; ret; }
            .entry plain { ret; }
            .entry packed(.param .align 16 .b8 blob[48], .param .f32 x) .maxntid 32 { ret; }
        ";
        let program = parse(source).expect("PTX");
        let shapes: Vec<(&str, Vec<(usize, usize)>)> = program
            .entries
            .iter()
            .map(|e| {
                (
                    e.name.as_str(),
                    e.parameters.iter().map(|p| (p.offset, p.bytes)).collect(),
                )
            })
            .collect();
        assert_eq!(
            shapes,
            [
                ("fcsp_work", vec![(0, 4), (8, 8), (16, 8)]),
                ("plain", vec![]),
                ("packed", vec![(0, 48), (48, 4)]),
            ]
        );
        assert_eq!(
            program.globals,
            [("table".to_owned(), 64), ("flag".to_owned(), 4)]
        );
    }

    #[test]
    fn text_without_version_and_target_is_no_ptx() {
        assert_eq!(parse("hello"), None);
        assert_eq!(parse(".version 8.0"), None);
    }
}
