//! Names of types and parameters: each is an identifier, and no two become the same.

use std::collections::HashSet;

use heck::{ToLowerCamelCase, ToSnakeCase, ToUpperCamelCase};

/// The names of one scope.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    /// A scope in which these names have another meaning.
    pub(crate) fn except(taken: &[&str]) -> Self {
        Self(taken.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Returns the name of a type: `upload_progress` becomes `UploadProgress`.
    pub(crate) fn camel(&mut self, name: &str) -> String {
        self.unique(&name.to_upper_camel_case(), "T", "")
    }

    /// Returns the name of a function or a parameter in JavaScript: `upload.progressed` becomes `uploadProgressed`.
    pub(crate) fn lower_camel(&mut self, name: &str) -> String {
        self.unique(&name.to_lower_camel_case(), "x", "")
    }

    /// Returns the name of a function in Python: `upload.progressed` becomes `upload_progressed`.
    pub(crate) fn snake(&mut self, name: &str) -> String {
        self.unique(&name.to_snake_case(), "x", "_")
    }

    /// A name that begins with no letter gets one; one that is taken gets a number.
    fn unique(&mut self, name: &str, first: &str, between: &str) -> String {
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let has_letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let name = if has_letter { name } else { format!("{first}{name}") };
        let mut unique = name.clone();
        let mut number = 2;
        while !self.0.insert(unique.clone()) {
            unique = format!("{name}{between}{number}");
            number += 1;
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_an_identifier_and_no_two_are_the_same() {
        let mut names = Names::except(&["Catalog"]);
        let found = ["catalog", "upload_progress", "upload-progress", "1st", "é", "error"];
        let found = found.map(|name| names.camel(name));
        assert_eq!(found, ["Catalog2", "UploadProgress", "UploadProgress2", "T1st", "T", "Error"]);
        let mut names = Names::except(&["class"]);
        let found = ["class", "userId", "user id", "", "$"].map(|name| names.lower_camel(name));
        assert_eq!(found, ["class2", "userId", "userId2", "x", "x2"]);
        let mut names = Names::except(&["import"]);
        let found = ["import", "upload.progressed", "_"].map(|name| names.snake(name));
        assert_eq!(found, ["import_2", "upload_progressed", "x"]);
    }
}
