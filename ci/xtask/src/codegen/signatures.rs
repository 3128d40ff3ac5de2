//! Writes the signature of every function twice: as a macro that hands it to a callback, and as a type.
//!
//! The macros let a table of names alone become typed wrappers: the table says what happens to a call, the header says
//! what the call looks like, and rustc joins them. The types serve whoever looks a function up at run time.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, Type, UseTree};

use super::Header;
use super::bindings::{Function, Parsed, banner};

/// The signature file of a header.
pub fn file(header: &Header, parsed: &Parsed) -> String {
    let types = type_names(&parsed.items);
    let functions = with_thread_variants(&parsed.functions);
    let mut text = banner(header);
    text.push_str(
        "\n/// One macro per function hands its signature to `$callback`.\npub mod signature {\n",
    );
    for (name, function) in &functions {
        let arguments = join(function, |ty| spell(ty, &types, "$crate::"));
        let result = result(function, |ty| spell(ty, &types, "$crate::"));
        text.push_str(&format!(
            "    #[macro_export] #[doc(hidden)] macro_rules! {name} {{ ($callback:path, $($head:tt)*) => {{ \
             $callback! {{ $($head)* fn {name}({arguments}) -> {result} }} }} }}\n    pub use {name};\n"
        ));
    }
    text.push_str("}\n\n/// The type of every function, for those who look one up at run time.\npub mod fn_types {\n");
    text.push_str(&format!(
        "    use crate::generated::{}::*;\n\n",
        header.stem
    ));
    for (name, function) in &functions {
        let arguments = join(function, |ty| spell(ty, &types, ""));
        let result = result(function, |ty| spell(ty, &types, ""));
        text.push_str(&format!(
            "    pub type {name} = unsafe extern \"C\" fn({arguments}) -> {result};\n"
        ));
    }
    text.push_str("}\n");
    text
}

/// Adds `f_ptsz`/`f_ptds` where the header declares only one of a pair: both have the same signature by design of the
/// header's `__CUDA_API_PTSZ` macro.
fn with_thread_variants(functions: &BTreeMap<String, Function>) -> BTreeMap<&str, &Function> {
    let mut all: BTreeMap<&str, &Function> = functions
        .iter()
        .map(|(name, f)| (name.as_str(), f))
        .collect();
    for (name, function) in functions {
        for suffix in ["_ptsz", "_ptds"] {
            if let Some(base) = name.strip_suffix(suffix) {
                all.entry(base).or_insert(function);
            }
        }
    }
    all
}

fn join(function: &Function, spell: impl Fn(&Type) -> String) -> String {
    function
        .arguments
        .iter()
        .map(|(name, ty)| format!("{name}: {}", spell(ty)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn result(function: &Function, spell: impl Fn(&Type) -> String) -> String {
    function.result.as_ref().map_or_else(|| "()".into(), spell)
}

/// Names of the types a header defines, which need a path inside a macro.
fn type_names(items: &[Item]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in items {
        match item {
            Item::Struct(item) => names.insert(item.ident.to_string()),
            Item::Union(item) => names.insert(item.ident.to_string()),
            Item::Type(item) => names.insert(item.ident.to_string()),
            Item::Use(item) => {
                let mut tree = &item.tree;
                while let UseTree::Path(path) = tree {
                    tree = &path.tree;
                }
                match tree {
                    UseTree::Rename(rename) => names.insert(rename.rename.to_string()),
                    UseTree::Name(name) => names.insert(name.ident.to_string()),
                    _ => false,
                }
            }
            _ => false,
        };
    }
    names
}

/// Prints a type on one line, with `prefix` before every name in `types`.
fn spell(ty: &Type, types: &BTreeSet<String>, prefix: &str) -> String {
    let mut text = String::new();
    write_tokens(ty.to_token_stream(), types, prefix, &mut text);
    text
}

fn write_tokens(tokens: TokenStream, types: &BTreeSet<String>, prefix: &str, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                if text.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    text.push(' ');
                }
                if types.contains(&name) {
                    text.push_str(prefix);
                }
                text.push_str(&name);
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_tokens(group.stream(), types, prefix, text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => {
                if text.ends_with(" mut") || text.ends_with("*mut") || text.ends_with("const") {
                    text.push(' ');
                }
                match punct.as_char() {
                    ',' => text.push_str(", "),
                    ';' => text.push_str("; "),
                    other => text.push(other),
                }
            }
            TokenTree::Literal(literal) => {
                let literal = literal.to_string();
                // The `"C"` of a function pointer stands between two words.
                if literal.starts_with('"') {
                    text.push_str(&format!(" {literal} "));
                } else {
                    text.push_str(&literal);
                }
            }
        }
    }
}
