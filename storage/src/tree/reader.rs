//! Roots of earlier trees, and proofs, from what is stored: RFC 6962 sections 2.1.1 and 2.1.2.

use std::io;

use super::{Hash, Place, STORED_LEVELS, empty_root, node_hash, split};

/// What is stored of a tree.
pub trait Leaves {
    /// Hashes of leaves from one on, as many as are asked for.
    ///
    /// # Errors
    ///
    /// Where one is missing or cannot be read.
    fn leaves(&self, from: u64, count: usize) -> io::Result<Vec<Hash>>;

    /// Hash of a perfect subtree of a stored level (see [`Place::is_stored`]) that is complete.
    ///
    /// # Errors
    ///
    /// Where it is missing or cannot be read.
    fn stored(&self, place: Place) -> io::Result<Hash>;
}

/// Root of the tree of the first `size` leaves, which are there.
pub fn root(tree: &impl Leaves, size: u64) -> io::Result<Hash> {
    match size {
        0 => Ok(empty_root()),
        _ => range(tree, 0, size),
    }
}

/// Roots of the perfect subtrees that the tree of the first `size` leaves is made of, the largest first.
pub fn peaks(tree: &impl Leaves, size: u64) -> io::Result<Vec<Hash>> {
    let mut peaks = Vec::new();
    let mut start = 0;
    for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
        let index = start >> level;
        peaks.push(subtree(tree, Place { level, index })?);
        start += 1 << level;
    }
    Ok(peaks)
}

/// Proof that a leaf is in the tree of the first `size` leaves: the hashes that are missing on its way to the
/// root, from the leaf upwards.
///
/// # Errors
///
/// `InvalidInput` where the leaf is not below `size`.
pub fn inclusion(tree: &impl Leaves, leaf: u64, size: u64) -> io::Result<Vec<Hash>> {
    if leaf >= size {
        return Err(outside(format_args!(
            "leaf {leaf} is not in a tree of {size}"
        )));
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if leaf < middle {
            path.push(range(tree, middle, end)?);
            end = middle;
        } else {
            path.push(range(tree, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Proof that the tree of the first `old` leaves is the beginning of that of the first `new`.
///
/// # Errors
///
/// `InvalidInput` where `old` is 0 or above `new`.
pub fn consistency(tree: &impl Leaves, old: u64, new: u64) -> io::Result<Vec<Hash>> {
    if old == 0 || old > new {
        return Err(outside(format_args!(
            "there is no proof from a tree of {old} to one of {new}"
        )));
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    // Down to the subtree that ends where the old tree does.
    while end > old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(tree, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tree, start, middle)?);
            start = middle;
        }
    }
    // The old root itself is known to whoever checks.
    if start > 0 {
        proof.push(range(tree, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Hash over the leaves of a range that the algorithms above split off.
fn range(tree: &impl Leaves, start: u64, end: u64) -> io::Result<Hash> {
    let length = end - start;
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return subtree(
            tree,
            Place {
                level,
                index: start >> level,
            },
        );
    }
    let middle = start + split(length);
    Ok(node_hash(
        &range(tree, start, middle)?,
        &range(tree, middle, end)?,
    ))
}

/// Hash of a perfect subtree: as stored, or made of those below that are.
fn subtree(tree: &impl Leaves, place: Place) -> io::Result<Hash> {
    if place.is_stored() {
        return tree.stored(place);
    }
    let below = place.level % STORED_LEVELS;
    let (level, first, count) = (place.level - below, place.index << below, 1_usize << below);
    let mut hashes = if level == 0 {
        tree.leaves(first, count)?
    } else {
        (first..first + count as u64)
            .map(|index| tree.stored(Place { level, index }))
            .collect::<io::Result<Vec<_>>>()?
    };
    while let [_, _, ..] = hashes[..] {
        hashes = hashes
            .chunks_exact(2)
            .map(|pair| node_hash(&pair[0], &pair[1]))
            .collect();
    }
    hashes
        .pop()
        .ok_or_else(|| outside(format_args!("no leaves for {place:?}")))
}

fn outside(message: std::fmt::Arguments<'_>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.to_string())
}
