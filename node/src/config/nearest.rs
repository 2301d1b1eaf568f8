//! What someone meant who wrote an unknown name.

use super::sections::{SECTIONS, TABLES, find, free_tables, keys};

/// What to say about an unknown key of a section.
pub(super) fn suggest_key(section: &str, name: &str) -> String {
    let Some((section, known)) = SECTIONS.iter().find(|(known, _)| *known == section) else {
        return suggest_section(section, name);
    };
    if let Some(elsewhere) = keys().find(|key| key.name == name) {
        return format!("did you mean {}?", elsewhere.path());
    }
    let free = free_tables(section).map(|table| table.name);
    suggest(section, name, known.iter().map(|key| key.name).chain(free))
}

/// What to say about an unknown section, given a key in it or none.
pub(super) fn suggest_section(section: &str, name: &str) -> String {
    let names = || {
        SECTIONS
            .iter()
            .map(|(name, _)| *name)
            .chain(TABLES.iter().copied())
    };
    match nearest(section, names()) {
        Some(found) if find(found, name).is_some() => format!("did you mean {found}.{name}?"),
        Some(found) => format!("did you mean {found}?"),
        None => format!(
            "known sections are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// What to say about an unknown key of a table or section whose keys are given.
pub(super) fn suggest<'a>(
    section: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    match nearest(name, known.clone()) {
        Some(found) => format!("did you mean {section}.{found}?"),
        None => format!(
            "known keys of {section} are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The name at the least distance, if less than half of it must change.
fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    known
        .map(|name| (distance(&wanted, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| distance * 2 < name.len().max(3))
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
