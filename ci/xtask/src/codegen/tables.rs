//! Writes the tables through which a Level Zero loader calls a driver: which function stands in which place, and since
//! which version of the specification.
//!
//! A driver fills a table that an older loader allocated, so it must not write more than that loader knew. The headers
//! do not say what that was; `since.tsv` beside them does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use quote::ToTokens;
use syn::{Fields, Item};

use super::Header;
use super::bindings::{Parsed, banner};

/// The file of tables; nothing for a header that has none.
pub fn file(header: &Header, parsed: &Parsed, root: &Path) -> Result<Option<String>> {
    let getters = getters(parsed);
    if getters.is_empty() {
        return Ok(None);
    }
    let path = root.join(format!("backends/sys/{}/since.tsv", header.package));
    let since = read_since(&path)?;
    let mut listed = 0;
    let mut text = banner(header);
    text.push_str(
        "\n/// Hands every table to `$callback`: its type, the function that fills it, and in the order of its fields each\n\
         /// field, the function it stands for, and major and minor version since which it is there.\n\
         #[macro_export]\nmacro_rules! ddi_tables {\n    ($callback:path, $($head:tt)*) => { $callback! { $($head)*\n",
    );
    for item in &parsed.items {
        let Item::Struct(item) = item else { continue };
        let table = item.ident.to_string();
        let name = table.trim_start_matches('_');
        let Some(getter) = getters.get(name) else {
            continue;
        };
        text.push_str(&format!("        table {name} from {getter} {{\n"));
        let Fields::Named(fields) = &item.fields else {
            bail!("{table} is no structure with names");
        };
        for field in &fields.named {
            let function = function_of(&field.ty.to_token_stream().to_string())?;
            let Some((major, minor)) = since.get(&function) else {
                bail!(
                    "{} does not say since when {function} is there",
                    path.display()
                );
            };
            let field = field.ident.to_token_stream();
            text.push_str(&format!(
                "            {field} {function} since {major} {minor};\n"
            ));
            listed += 1;
        }
        text.push_str("        }\n");
    }
    text.push_str("    } };\n}\n");
    if listed != since.len() {
        bail!(
            "{} has {} functions, the tables have {listed}",
            path.display(),
            since.len()
        );
    }
    Ok(Some(text))
}

/// The functions that fill tables, by the type of the table.
fn getters(parsed: &Parsed) -> BTreeMap<String, &str> {
    parsed
        .functions
        .values()
        .filter(|function| function.name.ends_with("ProcAddrTable"))
        .filter_map(|function| {
            let (_, table) = function.arguments.get(1)?;
            let table = table.to_token_stream().to_string();
            let table = table.rsplit(' ').next()?.to_owned();
            Some((table, function.name.as_str()))
        })
        .collect()
}

/// `zeDriverGet` of `ze_pfnDriverGet_t`.
fn function_of(pointer: &str) -> Result<String> {
    pointer
        .strip_suffix("_t")
        .and_then(|name| name.split_once("_pfn"))
        .map(|(api, name)| format!("{api}{name}"))
        .with_context(|| format!("{pointer} is no pointer to a function of a table"))
}

fn read_since(path: &Path) -> Result<BTreeMap<String, (u32, u32)>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .skip(1)
        .map(|line| {
            let (name, version) = line.split_once('\t')?;
            let (major, minor) = version.split_once('.')?;
            Some((name.to_owned(), (major.parse().ok()?, minor.parse().ok()?)))
        })
        .collect::<Option<_>>()
        .with_context(|| format!("{} is not `function<TAB>major.minor`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_its_function() {
        let name = function_of("zes_pfnDeviceGetState_t").expect("a pointer type");
        assert_eq!(name, "zesDeviceGetState");
        assert!(function_of("u32").is_err());
    }
}
