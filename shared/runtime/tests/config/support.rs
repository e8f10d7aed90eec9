//! A configuration in a folder of its own, and the mistakes that are told of it.

use std::path::PathBuf;

use tempfile::TempDir;
use tidings_runtime::config::{Config, ConfigErrors, SecretRule, load};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A configuration file in a folder of its own, in which the file has the name that mistakes show.
pub(crate) struct File {
    pub(crate) directory: TempDir,
}

impl File {
    pub(crate) fn new(text: &str) -> Self {
        let file = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(file.path("tidings.toml"), text).unwrap();
        file
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn load(
        &self,
        environment: &[(&str, &str)],
        rule: SecretRule,
    ) -> Result<Config, ConfigErrors> {
        load(Some(&self.path("tidings.toml")), environment.iter().copied(), rule)
    }

    /// The mistakes' lines, without the folder's name.
    pub(crate) fn mistakes(&self, environment: &[(&str, &str)], rule: SecretRule) -> Vec<String> {
        let folder = format!("{}/", self.directory.path().display());
        let Err(mistakes) = self.load(environment, rule) else {
            return Vec::new();
        };
        let headline = mistakes.to_string().lines().next().unwrap().to_owned();
        assert!(headline.starts_with("the configuration has "), "{headline}");
        mistakes.as_slice().iter().map(|mistake| mistake.to_string().replace(&folder, "")).collect()
    }
}

#[track_caller]
pub(crate) fn check(text: &str, environment: &[(&str, &str)], expect: &[&str]) {
    assert_eq!(File::new(text).mistakes(environment, SecretRule::Optional), expect, "{text}{environment:?}");
}

/// One wrong value of `key`, given in the file as `toml` and, where that is the same thing, in its variable as `text`.
#[track_caller]
pub(crate) fn check_value(key: &str, toml: &str, text: Option<&str>, told: &str) {
    let (section, entry) = key.split_once('.').unwrap();
    check(
        &format!("[{section}]\n{entry} = {toml}\n"),
        &[],
        &[&format!("{key} = {told}").replace('@', "tidings.toml")],
    );
    if let Some(text) = text {
        let variable = format!("TIDINGS_{}__{}", section.to_uppercase(), entry.to_uppercase());
        check("", &[(&variable, text)], &[&format!("{key} = {told}").replace('@', &variable)]);
    }
}
