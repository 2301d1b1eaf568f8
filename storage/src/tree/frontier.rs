//! The right edge of the tree: all that is needed to add leaves and to know the root.

use serde::{Deserialize, Serialize};

use super::{Hash, Place, empty_root, node_hash};

/// A tree as far as it has come: its size, and the roots of the perfect subtrees that it is made of, the
/// largest first; 64 at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// A tree of a size with these roots of perfect subtrees, the largest first; `None` where they do not fit.
    pub fn of(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let tree = Self { size, peaks };
        tree.is_whole().then_some(tree)
    }

    /// Whether size and peaks fit, as they do unless the tree was read from somewhere.
    pub fn is_whole(&self) -> bool {
        self.peaks.len() == self.size.count_ones() as usize
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Add a leaf; `completed` is told of each perfect subtree of two leaves and more that it completes.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Place, &Hash)) {
        let mut hash = leaf;
        let mut place = Place {
            level: 0,
            index: self.size,
        };
        while place.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = node_hash(&left, &hash);
            place = Place {
                level: place.level + 1,
                index: place.index >> 1,
            };
            completed(place, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
            None => empty_root(),
        }
    }
}
