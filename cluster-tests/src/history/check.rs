//! Is a history linearizable?
//!
//! Each write that takes effect makes the next version, so that versions order all of them: what is left to
//! decide is whether that order is also an order in time. A history of one register is linearizable exactly
//! if (1) each version has one value and one writer, (2) nothing is seen that nobody may have written, and
//! (3) of two operations, one of which ended before the other began, the later has no smaller version, and a
//! greater one if it wrote. Writes of unknown outcome count if their value was seen.

use std::collections::BTreeMap;

use super::{Asked, FIRST_VALUE, FIRST_VERSION, Key, Operation, Told};

/// What cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// One version, two values.
    #[error("{key:?}: version {version} has the values {one} and {other}")]
    TwoValues {
        /// The register.
        key: Key,
        /// The version.
        version: u64,
        /// A value.
        one: i64,
        /// Another.
        other: i64,
    },
    /// One value at two versions: a write took effect twice.
    #[error("{key:?}: value {value} is at versions {one} and {other}: it was written twice")]
    WrittenTwice {
        /// The register.
        key: Key,
        /// The value.
        value: i64,
        /// A version.
        one: u64,
        /// Another.
        other: u64,
    },
    /// A value that nobody wrote, or whose writer was told that it was not done.
    #[error("{key:?}: value {value} at version {version} was seen, {why}")]
    OutOfNowhere {
        /// The register.
        key: Key,
        /// The value.
        value: i64,
        /// The version.
        version: u64,
        /// Why it should not be there.
        why: &'static str,
    },
    /// A swap that was done, but not on the version that it expected.
    #[error("{key:?}: a swap of version {expected} made version {made}")]
    WrongSwap {
        /// The register.
        key: Key,
        /// The version that was to be replaced.
        expected: u64,
        /// The version that was made.
        made: u64,
    },
    /// A swap was refused although the register was at the expected version all the while.
    #[error(
        "{key:?}: a swap of version {expected} was refused while the register was at it: {operation:?}"
    )]
    NeedlessConflict {
        /// The register.
        key: Key,
        /// The version.
        expected: u64,
        /// The swap.
        operation: Box<Operation>,
    },
    /// An operation that ended before another began has a later version.
    #[error("{key:?}: went back from version {before} to {after}: {earlier:?}, then {later:?}")]
    WentBack {
        /// The register.
        key: Key,
        /// The version of the earlier one.
        before: u64,
        /// The version of the later one.
        after: u64,
        /// The operation that ended first.
        earlier: Box<Operation>,
        /// The operation that began afterwards.
        later: Box<Operation>,
    },
    /// Versions exist that nobody can have made.
    #[error(
        "{key:?}: {versions} versions have no acknowledged writer, but only {maybe} writes may have been done"
    )]
    TooManyVersions {
        /// The register.
        key: Key,
        /// Versions up to the last without an acknowledged write.
        versions: u64,
        /// Writes of unknown outcome.
        maybe: u64,
    },
}

/// Decide whether a history can be.
///
/// # Errors
///
/// The first thing found that cannot be.
pub fn check(history: &[Operation]) -> Result<(), Fault> {
    let mut registers: BTreeMap<&Key, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        registers.entry(&operation.key).or_default().push(operation);
    }
    registers
        .into_iter()
        .try_for_each(|(key, operations)| Register::new(key, operations)?.check())
}

/// A register's operations, and what they tell of its versions.
struct Register<'a> {
    key: &'a Key,
    operations: Vec<&'a Operation>,
    value_of: BTreeMap<u64, i64>,
    version_of: BTreeMap<i64, u64>,
}

/// An operation with its place in the order of versions.
#[derive(Clone, Copy)]
struct Placed<'a> {
    version: u64,
    writes: bool,
    began: u64,
    ended: u64,
    operation: &'a Operation,
}

impl<'a> Register<'a> {
    fn new(key: &'a Key, operations: Vec<&'a Operation>) -> Result<Self, Fault> {
        let mut register = Self {
            key,
            operations,
            value_of: BTreeMap::new(),
            version_of: BTreeMap::new(),
        };
        register.note(FIRST_VERSION, FIRST_VALUE)?;
        for operation in register.operations.clone() {
            match (&operation.told, operation.asked.value()) {
                (Told::Seen(version, value), _) => register.note(*version, *value)?,
                (Told::Done(version), Some(value)) => register.note(*version, value)?,
                _ => {}
            }
        }
        Ok(register)
    }

    /// A version has a value.
    fn note(&mut self, version: u64, value: i64) -> Result<(), Fault> {
        let key = || self.key.clone();
        match self.value_of.insert(version, value) {
            Some(one) if one != value => {
                return Err(Fault::TwoValues {
                    key: key(),
                    version,
                    one,
                    other: value,
                });
            }
            _ => {}
        }
        match self.version_of.insert(value, version) {
            Some(one) if one != version => Err(Fault::WrittenTwice {
                key: key(),
                value,
                one,
                other: version,
            }),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        self.writers()?;
        let placed = self.placed()?;
        self.order(&placed)?;
        self.conflicts(&placed)
    }

    /// Everything that was seen has a writer, and there are no more versions than writers.
    fn writers(&self) -> Result<(), Fault> {
        let (mut writers, mut acknowledged, mut maybe) = (BTreeMap::new(), 0, 0);
        for operation in &self.operations {
            if let Some(value) = operation.asked.value() {
                writers.insert(value, &operation.told);
                acknowledged += u64::from(matches!(operation.told, Told::Done(_)));
                maybe += u64::from(matches!(operation.told, Told::Maybe(_)));
            }
        }
        for (&version, &value) in &self.value_of {
            let why = match writers.get(&value) {
                Some(Told::Done(_) | Told::Maybe(_)) => continue,
                None if (version, value) == (FIRST_VERSION, FIRST_VALUE) => continue,
                None => "but nobody wrote it",
                Some(_) => "but its writer was told that it is not done",
            };
            return Err(Fault::OutOfNowhere {
                key: self.key.clone(),
                value,
                version,
                why,
            });
        }
        let last = self
            .value_of
            .last_key_value()
            .map_or(FIRST_VERSION, |(version, _)| *version);
        let versions = (last - FIRST_VERSION).saturating_sub(acknowledged);
        if versions > maybe {
            return Err(Fault::TooManyVersions {
                key: self.key.clone(),
                versions,
                maybe,
            });
        }
        Ok(())
    }

    /// Operations that have a version: done ones, and those of unknown outcome whose value was seen. The
    /// latter may have taken effect at any time after they began.
    fn placed(&self) -> Result<Vec<Placed<'a>>, Fault> {
        let mut placed = Vec::new();
        for operation in &self.operations {
            let value = operation.asked.value();
            let (version, ended) = match &operation.told {
                Told::Seen(version, _) | Told::Done(version) => (*version, operation.ended),
                Told::Maybe(_) => match value.and_then(|value| self.version_of.get(&value)) {
                    Some(version) => (*version, u64::MAX),
                    None => continue,
                },
                Told::Conflict | Told::NotDone(_) => continue,
            };
            if let Asked::Swap(expected, _) = operation.asked
                && version != expected + 1
            {
                return Err(Fault::WrongSwap {
                    key: self.key.clone(),
                    expected,
                    made: version,
                });
            }
            let (writes, began) = (value.is_some(), operation.began);
            placed.push(Placed {
                version,
                writes,
                began,
                ended,
                operation,
            });
        }
        Ok(placed)
    }

    /// The order of versions is an order in time.
    fn order(&self, placed: &[Placed<'a>]) -> Result<(), Fault> {
        let (mut by_end, mut by_begin) = (placed.to_vec(), placed.to_vec());
        by_end.sort_by_key(|one| one.ended);
        by_begin.sort_by_key(|one| one.began);
        let mut ended = by_end.into_iter().peekable();
        let mut highest: Option<Placed<'a>> = None;
        for later in by_begin {
            while let Some(one) = ended.next_if(|one| one.ended < later.began) {
                if highest.is_none_or(|held| one.version > held.version) {
                    highest = Some(one);
                }
            }
            let Some(earlier) = highest else { continue };
            let fits = if later.writes {
                later.version > earlier.version
            } else {
                later.version >= earlier.version
            };
            if !fits {
                return Err(Fault::WentBack {
                    key: self.key.clone(),
                    before: earlier.version,
                    after: later.version,
                    earlier: Box::new(earlier.operation.clone()),
                    later: Box::new(later.operation.clone()),
                });
            }
        }
        Ok(())
    }

    /// A swap that was refused met another version: not one that the register had before and after it.
    fn conflicts(&self, placed: &[Placed<'a>]) -> Result<(), Fault> {
        for operation in &self.operations {
            let (Asked::Swap(expected, _), Told::Conflict) = (operation.asked, &operation.told)
            else {
                continue;
            };
            let reached = expected == FIRST_VERSION
                || placed
                    .iter()
                    .any(|one| one.version == expected && one.ended < operation.began);
            let left = !placed
                .iter()
                .any(|one| one.version <= expected && !one.writes && one.began > operation.ended);
            if reached && !left {
                let operation = Box::new((*operation).clone());
                return Err(Fault::NeedlessConflict {
                    key: self.key.clone(),
                    expected,
                    operation,
                });
            }
        }
        Ok(())
    }
}
