//! What the paper says in text, with the tolerances that were fixed before anything was run: `claims.toml`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its name in the file.
    #[serde(default)]
    pub name: String,
    /// The item that tests it.
    pub item: String,
    /// The paper's section, or where else it is from.
    pub section: String,
    /// What it says.
    pub says: String,
    /// When it counts as reproduced.
    pub test: String,
    /// The number that is compared with, if there is one.
    #[serde(default)]
    pub value: f64,
    /// How far from it is near enough.
    #[serde(default)]
    pub within: f64,
}

/// All claims, by name.
#[derive(Clone, Debug)]
pub(super) struct Claims(BTreeMap<String, Claim>);

const TEXT: &str = include_str!("claims.toml");

impl Claims {
    /// Those of the file.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub(super) fn read() -> Result<Self, String> {
        let mut claims: BTreeMap<String, Claim> = toml::from_str(TEXT).map_err(|error| error.to_string())?;
        claims.iter_mut().for_each(|(name, claim)| claim.name.clone_from(name));
        Ok(Self(claims))
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Result<Claim, String> {
        self.0.get(name).cloned().ok_or_else(|| format!("there is no claim {name}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::super::Item;
    use super::*;

    #[test]
    fn every_claim_is_of_an_item_and_says_when_it_holds() {
        let claims = Claims::read().unwrap();
        assert!(claims.0.len() > 20);
        for claim in claims.0.values() {
            assert!(Item::from_str(&claim.item, false).is_ok(), "{}", claim.name);
            assert!(!claim.says.is_empty() && !claim.test.is_empty() && !claim.section.is_empty());
            assert!(claim.within >= 0.0 && claim.value.is_finite());
        }
        assert!(claims.get("nothing").is_err());
    }
}
