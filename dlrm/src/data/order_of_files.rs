//! Whether files are in the order that their names say: of several the last is held out.

use std::path::Path;

/// The first two neighbours whose names differ in a number, and in nothing else, that does not ascend: `day_10` before
/// `day_2`, as a shell lists them.
pub fn names_out_of_order(files: &[impl AsRef<Path>]) -> Option<(&Path, &Path)> {
    files.windows(2).map(|pair| (pair[0].as_ref(), pair[1].as_ref())).find(|(a, b)| descends(a, b))
}

fn descends(a: &Path, b: &Path) -> bool {
    let (a, b) = (a.to_string_lossy(), b.to_string_lossy());
    let (a, b) = (parts(&a), parts(&b));
    let alike = |(x, y): (&Part<'_>, &Part<'_>)| match (x, y) {
        (Part::Text(x), Part::Text(y)) => x == y,
        (Part::Number(_), Part::Number(_)) => true,
        _ => false,
    };
    a.len() == b.len() && a.iter().zip(&b).all(alike) && a > b
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Text(&'a str),
    /// By its digits, however many, without zeros before them: longer ones are larger.
    Number((usize, &'a str)),
}

fn parts(name: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        let number = part.trim_start_matches('0');
        parts.push(if digits { Part::Number((number.len(), number)) } else { Part::Text(part) });
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_ascend_are_found() {
        let found = |names: &[&'static str]| {
            let found = names_out_of_order(names).map(|(a, b)| (a.to_str().unwrap(), b.to_str().unwrap()));
            found.map(|(a, b)| format!("{a} {b}"))
        };
        assert_eq!(found(&["day_0", "day_1", "day_10", "day_11", "day_2"]).as_deref(), Some("day_11 day_2"));
        assert_eq!(found(&["d/day_9.gz", "d/day_10.gz"]), None);
        assert_eq!(found(&["day_09", "day_10", "day_011"]), None);
        assert_eq!(found(&["2024-01-31", "2024-02-01", "2023-12-31"]).as_deref(), Some("2024-02-01 2023-12-31"));
        assert_eq!(found(&["b", "a", "train", "test"]), None);
        assert_eq!(found(&["day_2", "other_1", "3"]), None);
        assert_eq!(found(&["day_99999999999999999999999", "day_100000000000000000000000"]), None);
    }
}
