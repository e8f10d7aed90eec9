//! Converts JSON names to Rust identifiers. Every name becomes an identifier, and no two become the same.

use std::collections::HashSet;

use heck::{ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, Span};

/// The identifiers of one scope.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    /// Returns the name of a type or a variant: `in_progress` becomes `InProgress`.
    pub(crate) fn camel(&mut self, name: &str) -> Ident {
        self.unique(name.to_upper_camel_case())
    }

    /// Returns the name of a field or a method: `userId` becomes `user_id`.
    pub(crate) fn snake(&mut self, name: &str) -> Ident {
        self.unique(name.to_snake_case())
    }

    fn unique(&mut self, name: String) -> Ident {
        let is_start = |c: char| c.is_alphabetic() || c == '_';
        let name = if name.starts_with(is_start) { name } else { format!("_{name}") };
        let name = if name == "_" { "_unnamed".to_owned() } else { name };
        let mut unique = name.clone();
        let mut number = 2;
        while !self.0.insert(unique.clone()) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        // Keywords become raw identifiers, except for these.
        match unique.as_str() {
            "self" | "Self" | "super" | "crate" => Ident::new(&format!("{unique}_"), Span::call_site()),
            _ => syn::parse_str(&unique).unwrap_or_else(|_| Ident::new_raw(&unique, Span::call_site())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_an_identifier_and_no_two_the_same() {
        let mut names = Names::default();
        let found = ["userId", "user_id", "type", "self", "1st", "$", "@", "é-ü"];
        let found = found.map(|name| names.snake(name).to_string());
        assert_eq!(
            found,
            ["user_id", "user_id_2", "r#type", "self_", "_1st", "_unnamed", "_unnamed_2", "é_ü"]
        );
        assert_eq!(names.camel("in_progress"), "InProgress");
    }
}
