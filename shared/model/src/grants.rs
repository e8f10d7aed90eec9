//! Grants of a connection: the addresses that its token opens.
//!
//! Several components store the grants of a connected device, so they share one small allocation.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Address;

/// Unique addresses in ascending order. Cloning is cheap: they are shared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeSet<Address>", into = "Vec<Address>")]
pub struct Grants(Arc<[Address]>);

impl Grants {
    /// Returns whether there are no grants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the address is among the grants.
    #[must_use]
    pub fn contains(&self, address: &Address) -> bool {
        self.0.binary_search(address).is_ok()
    }

    /// The addresses, ascending.
    pub fn iter(&self) -> std::slice::Iter<'_, Address> {
        self.0.iter()
    }

    /// Returns the addresses that are not in `others`.
    pub fn difference<'k>(&'k self, others: &'k Self) -> impl Iterator<Item = &'k Address> {
        self.iter().filter(|address| !others.contains(address))
    }
}

impl From<BTreeSet<Address>> for Grants {
    fn from(addresses: BTreeSet<Address>) -> Self {
        Self(addresses.into_iter().collect())
    }
}

impl<const N: usize> From<[Address; N]> for Grants {
    fn from(addresses: [Address; N]) -> Self {
        BTreeSet::from(addresses).into()
    }
}

impl From<Grants> for Vec<Address> {
    fn from(grants: Grants) -> Self {
        grants.0.to_vec()
    }
}

impl FromIterator<Address> for Grants {
    fn from_iter<I: IntoIterator<Item = Address>>(addresses: I) -> Self {
        addresses.into_iter().collect::<BTreeSet<_>>().into()
    }
}

impl<'k> IntoIterator for &'k Grants {
    type Item = &'k Address;
    type IntoIter = std::slice::Iter<'k, Address>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(texts: &[&str]) -> Grants {
        texts.iter().map(|text| Address::parse(text).unwrap()).collect()
    }

    #[test]
    fn each_once_and_ascending() {
        let unordered = grants(&["user:ada", "role:sre", "all", "role:sre"]);
        let texts: Vec<&str> = unordered.iter().map(Address::as_str).collect();
        assert_eq!(texts, ["all", "role:sre", "user:ada"]);
        let json = r#"["user:ada","role:sre","all","role:sre"]"#;
        assert_eq!(serde_json::from_str::<Grants>(json).unwrap(), unordered);
        assert_eq!(serde_json::to_string(&unordered).unwrap(), r#"["all","role:sre","user:ada"]"#);
    }

    #[test]
    fn what_is_lost_and_gained() {
        let (before, after) = (grants(&["all", "role:sre"]), grants(&["all", "user:ada"]));
        assert!(before.difference(&after).eq(grants(&["role:sre"]).iter()));
        assert!(after.difference(&before).eq(grants(&["user:ada"]).iter()));
        assert!(before.contains(&Address::all()) && Grants::default().is_empty());
    }
}
