//! Finds what an older version of a header says differently from a newer one.
//!
//! Most types of two versions are the same. The older version's file holds the others: those whose own text differs, and
//! those that contain one of these.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, Type};

/// Removes the items that mean the same in `newer`.
pub fn keep_what_differs(items: &mut Vec<Item>, newer: &[Item]) {
    let known: BTreeSet<String> = newer.iter().map(text).collect();
    let mut changed: BTreeSet<String> = items
        .iter()
        .filter(|item| !known.contains(&text(item)))
        .filter_map(name)
        .collect();
    loop {
        let more: BTreeSet<String> = items
            .iter()
            .filter(|item| mentions(item, &changed))
            .filter_map(name)
            .filter(|name| !changed.contains(name))
            .collect();
        if more.is_empty() {
            break;
        }
        changed.extend(more);
    }
    items.retain(|item| !known.contains(&text(item)) || mentions(item, &changed));
}

fn text(item: &Item) -> String {
    item.to_token_stream().to_string()
}

/// The type an item defines or adds to; `None` for what belongs to no type.
fn name(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Union(item) => Some(item.ident.to_string()),
        Item::Type(item) => Some(item.ident.to_string()),
        Item::Impl(item) => match &*item.self_ty {
            Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn mentions(item: &Item, names: &BTreeSet<String>) -> bool {
    fn any(tokens: TokenStream, names: &BTreeSet<String>) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => names.contains(&ident.to_string()),
            TokenTree::Group(group) => any(group.stream(), names),
            _ => false,
        })
    }
    any(item.to_token_stream(), names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_stays_with_what_contains_it() {
        let newer: syn::File = syn::parse_quote! {
            pub struct Same { a: u8 }
            pub struct Changed { a: u8, b: u8 }
            pub struct Holds { c: Changed }
            pub type Alias = Holds;
            pub const N: u32 = 1;
        };
        let mut older: syn::File = syn::parse_quote! {
            pub struct Same { a: u8 }
            pub struct Changed { a: u8 }
            pub struct Holds { c: Changed }
            pub type Alias = Holds;
            pub const N: u32 = 1;
        };
        keep_what_differs(&mut older.items, &newer.items);
        let names: Vec<_> = older.items.iter().filter_map(name).collect();
        assert_eq!(names, ["Changed", "Holds", "Alias"]);
        assert_eq!(older.items.len(), 3);
    }
}
