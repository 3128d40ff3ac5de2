//! Runs bindgen over one header and separates what it found: types and constants, and functions.
//!
//! C enums become newtypes over an integer: a driver newer than the header may return a value the header does not
//! name, which would be undefined behaviour in a Rust enum.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bindgen::{EnumVariation, Formatter, RustEdition, RustTarget};
use quote::ToTokens;
use syn::{ForeignItem, ImplItem, Item, ReturnType, Type};

use super::Header;

/// One C function.
pub struct Function {
    pub name: String,
    /// Names and types, as bindgen spells them.
    pub arguments: Vec<(String, Type)>,
    /// `None` for `void`.
    pub result: Option<Type>,
}

/// What a header declares.
pub struct Parsed {
    /// Types, constants and helper items, in header order.
    pub items: Vec<Item>,
    /// Functions by name.
    pub functions: BTreeMap<String, Function>,
    /// Constant, structure and version of the version numbers that NVML computes in macros.
    pub versions: Vec<(String, String, u32)>,
}

/// Parses a header.
pub fn parse(header: &Header, include: &[PathBuf]) -> Result<Parsed> {
    let path = include
        .iter()
        .map(|directory| directory.join(header.file))
        .find(|path| path.exists())
        .with_context(|| format!("no include directory has {}", header.file))?;
    let mut builder = bindgen::Builder::default()
        .header(path.to_string_lossy())
        .clang_args(["-nostdinc", "--target=x86_64-unknown-linux-gnu"])
        .clang_args(
            include
                .iter()
                .map(|directory| format!("-I{}", directory.display())),
        )
        .clang_args(header.defines.iter().map(|define| format!("-D{define}")))
        .allowlist_function(header.items)
        .allowlist_type(header.items)
        .allowlist_var(header.constants)
        .default_enum_style(EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        .derive_debug(false)
        .derive_default(true)
        .generate_comments(false)
        .use_core()
        .formatter(Formatter::None)
        .rust_edition(RustEdition::Edition2024)
        .disable_header_comment();
    if let Ok(target) = RustTarget::stable(85, 0) {
        builder = builder.rust_target(target);
    }
    let text = builder
        .generate()
        .with_context(|| format!("bindgen failed on {}", path.display()))?
        .to_string();
    let file = syn::parse_file(&text).context("bindgen wrote something that is not Rust")?;

    let mut items = Vec::new();
    let mut functions = BTreeMap::new();
    for mut item in file.items {
        derive_debug(&mut item);
        match item {
            Item::ForeignMod(block) => {
                for item in block.items {
                    if let ForeignItem::Fn(function) = item {
                        let function = read_function(&function.sig);
                        functions.insert(function.name.clone(), function);
                    }
                }
            }
            other => items.push(other),
        }
    }
    Ok(Parsed {
        items,
        functions,
        versions: structure_versions(&fs::read_to_string(&path)?),
    })
}

/// Gives newtype enums `Debug`, for error messages. Hundreds of structures do without printers nobody calls.
fn derive_debug(item: &mut Item) {
    let Item::Struct(item) = item else { return };
    if item.attrs.iter().any(|attribute| {
        attribute
            .to_token_stream()
            .to_string()
            .contains("transparent")
    }) {
        item.attrs.push(syn::parse_quote!(#[derive(Debug)]));
    }
}

fn read_function(signature: &syn::Signature) -> Function {
    let arguments = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            syn::FnArg::Typed(typed) => {
                let pattern = &typed.pat;
                Some((quote::quote!(#pattern).to_string(), (*typed.ty).clone()))
            }
            syn::FnArg::Receiver(_) => None,
        })
        .collect();
    let result = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some((**ty).clone()),
    };
    Function {
        name: signature.ident.to_string(),
        arguments,
        result,
    }
}

/// Finds `#define nvmlMemory_v2 NVML_STRUCT_VERSION(Memory, 2)`, whose `sizeof` bindgen cannot evaluate.
fn structure_versions(header: &str) -> Vec<(String, String, u32)> {
    header
        .lines()
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
            let (structure, version) = value
                .trim()
                .strip_prefix("NVML_STRUCT_VERSION(")?
                .split_once(',')?;
            let version: u32 = version.trim().trim_end_matches(')').parse().ok()?;
            Some((
                name.to_owned(),
                format!("nvml{structure}_v{version}_t"),
                version,
            ))
        })
        .collect()
}

/// The comment every generated file begins with.
pub fn banner(header: &Header) -> String {
    format!(
        "// Generated by `cargo xtask codegen` from {} {}. Do not edit.\n",
        header.file, header.version
    )
}

/// The file of types and constants.
pub fn types_file(header: &Header, parsed: &Parsed) -> String {
    let file = syn::File {
        shebang: None,
        attrs: Vec::new(),
        items: parsed.items.clone(),
    };
    let mut text = banner(header);
    text.push('\n');
    if let Some(newer) = header.since {
        text.push_str(&format!("use super::{newer}::*;\n\n"));
    }
    text.push_str(&prettyplease::unparse(&file));
    for (name, structure, version) in &parsed.versions {
        text.push_str(&format!(
            "pub const {name}: ::core::ffi::c_uint = crate::structure_version::<{structure}>({version});\n"
        ));
    }
    for (function, type_name, what) in header.names {
        let values = enum_values(parsed, type_name);
        if values.is_empty() {
            continue;
        }
        text.push_str(&format!(
            "/// Name of a {what} value; `\"unknown\"` for one the header does not name.\n\
             pub const fn {function}(code: u32) -> &'static str {{\n    match code {{\n"
        ));
        for (value, name) in values {
            text.push_str(&format!("        {value} => \"{name}\",\n"));
        }
        text.push_str("        _ => \"unknown\",\n    }\n}\n");
    }
    text
}

/// Values of a newtype enum, the first name of each.
fn enum_values(parsed: &Parsed, type_name: &str) -> BTreeMap<u32, String> {
    let mut values = BTreeMap::new();
    for item in &parsed.items {
        let Item::Impl(block) = item else { continue };
        let Type::Path(path) = &*block.self_ty else {
            continue;
        };
        if !path.path.is_ident(type_name) {
            continue;
        }
        for item in &block.items {
            let ImplItem::Const(constant) = item else {
                continue;
            };
            let syn::Expr::Call(call) = &constant.expr else {
                continue;
            };
            let Some(syn::Expr::Lit(literal)) = call.args.first() else {
                continue;
            };
            let syn::Lit::Int(value) = &literal.lit else {
                continue;
            };
            if let Ok(value) = value.base10_parse() {
                values
                    .entry(value)
                    .or_insert_with(|| constant.ident.to_string());
            }
        }
    }
    values
}
