//! `pairs.csv` and `one_to_n.csv`: portraits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::eval::table::{Table, TableError};

/// Portraits, pairs of them, and the roles of an open-set search.
#[derive(Debug, Clone)]
pub(crate) struct FaceSet {
    /// Name as it stands in the tables, and where it is.
    pub(crate) pictures: BTreeMap<String, PathBuf>,
    pub(crate) pairs: Vec<FacePair>,
    pub(crate) search: Vec<SearchEntry>,
}

/// Two portraits and whether they show one person.
#[derive(Debug, Clone)]
pub(crate) struct FacePair {
    pub(crate) fold: u32,
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) same: bool,
}

/// A portrait's part in an open-set search.
#[derive(Debug, Clone)]
pub(crate) struct SearchEntry {
    pub(crate) role: SearchRole,
    pub(crate) identity: String,
    pub(crate) image: String,
}

/// What a portrait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchRole {
    /// A biometric reference.
    Enrol,
    /// A probe of somebody enrolled.
    Probe,
    /// A probe of somebody not enrolled.
    Impostor,
}

pub(super) fn read(folder: &Path, images: &Path) -> Result<FaceSet, TableError> {
    let mut set = FaceSet { pictures: BTreeMap::new(), pairs: Vec::new(), search: Vec::new() };
    for row in Table::read(&folder.join("pairs.csv"), &["fold", "a", "b", "same"])?.rows() {
        let fold = row.filled("fold")?.parse().map_err(|_| row.wrong("`fold` is not a number"))?;
        let same = match row.get("same") {
            "1" => true,
            "0" => false,
            other => return Err(row.wrong(format!("`same` is `{other}`, 0 or 1 is expected"))),
        };
        for column in ["a", "b"] {
            set.pictures.insert(row.get(column).to_owned(), row.picture(column, images)?);
        }
        set.pairs.push(FacePair { fold, a: row.get("a").into(), b: row.get("b").into(), same });
    }
    let search = folder.join("one_to_n.csv");
    if !search.is_file() {
        return Ok(set);
    }
    let table = Table::read(&search, &["role", "identity", "image"])?;
    let enrolled: BTreeSet<&str> =
        table.rows().filter(|row| row.get("role") == "enrol").map(|row| row.get("identity")).collect();
    for row in table.rows() {
        let identity = row.filled("identity")?.to_owned();
        let known = enrolled.contains(identity.as_str());
        let role = match row.get("role") {
            "enrol" => SearchRole::Enrol,
            "probe" if known => SearchRole::Probe,
            "impostor" if !known => SearchRole::Impostor,
            "probe" => return Err(row.wrong("a probe's identity is not enrolled; its role would be `impostor`")),
            "impostor" => return Err(row.wrong("an impostor's identity is enrolled; its role would be `probe`")),
            other => return Err(row.wrong(format!("`role` is `{other}`; enrol, probe or impostor is expected"))),
        };
        set.pictures.insert(row.get("image").to_owned(), row.picture("image", images)?);
        set.search.push(SearchEntry { role, identity, image: row.get("image").into() });
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &str, search: Option<&str>) -> Result<FaceSet, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg", "Bob_Ray_0001.jpg"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        std::fs::write(folder.path().join("pairs.csv"), format!("fold,a,b,same\n{pairs}\n")).unwrap();
        if let Some(search) = search {
            std::fs::write(folder.path().join("one_to_n.csv"), format!("role,identity,image\n{search}\n")).unwrap();
        }
        read(folder.path(), folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn pairs_and_roles_are_read() {
        let pairs = "1,Ann_Lee_0001.jpg,Ann_Lee_0002.jpg,1\n2,Ann_Lee_0001.jpg,Bob_Ray_0001.jpg,0";
        let search = "enrol,Ann,Ann_Lee_0001.jpg\nprobe,Ann,Ann_Lee_0002.jpg\nimpostor,Bob,Bob_Ray_0001.jpg";
        let found = set(pairs, Some(search)).unwrap();
        assert_eq!((found.pictures.len(), found.pairs.len(), found.search.len()), (3, 2, 3));
        assert!(found.pairs[0].same && !found.pairs[1].same && found.pairs[1].fold == 2);
        assert!(set(pairs, None).unwrap().search.is_empty());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let good = "1,Ann_Lee_0001.jpg,Ann_Lee_0002.jpg,1";
        for (pairs, search, complaint) in [
            ("one,Ann_Lee_0001.jpg,Ann_Lee_0002.jpg,1", None, "pairs.csv, line 2: `fold`"),
            ("1,Ann_Lee_0001.jpg,Ann_Lee_0002.jpg,yes", None, "pairs.csv, line 2: `same` is `yes`"),
            ("1,Ann_Lee_0001.jpg,Cy_Roe_0001.jpg,0", None, "pairs.csv, line 2: picture"),
            (good, Some("probe,Ann,Ann_Lee_0002.jpg"), "one_to_n.csv, line 2: a probe's identity is not enrolled"),
            (
                good,
                Some("enrol,Ann,Ann_Lee_0001.jpg\nimpostor,Ann,Ann_Lee_0002.jpg"),
                "one_to_n.csv, line 3: an impostor's identity is enrolled",
            ),
            (good, Some("guest,Ann,Ann_Lee_0002.jpg"), "one_to_n.csv, line 2: `role` is `guest`"),
            (good, Some("enrol,,Ann_Lee_0002.jpg"), "one_to_n.csv, line 2: `identity` is empty"),
        ] {
            let error = set(pairs, search).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
