//! Against the definitions of RFC 6962, word for word, and its known answers.

use std::io;

use proptest::prelude::*;

use super::*;

/// MTH of section 2.1.
fn definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            node_hash(&definition(left), &definition(right))
        }
    }
}

/// PATH of section 2.1.1.
fn path(leaf: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = split(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(middle);
    if leaf < middle {
        let mut found = path(leaf, left);
        found.push(definition(right));
        found
    } else {
        let mut found = path(leaf - middle, right);
        found.push(definition(left));
        found
    }
}

/// PROOF and SUBPROOF of section 2.1.2.
fn proof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![definition(leaves)]
        };
    }
    let middle = split(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(middle);
    if old <= middle {
        let mut found = proof(old, left, whole);
        found.push(definition(right));
        found
    } else {
        let mut found = proof(old - middle, right, false);
        found.push(definition(left));
        found
    }
}

/// Leaves, and the nodes that a frontier told of.
struct Tree {
    leaves: Vec<Hash>,
    stored: Vec<(Place, Hash)>,
    frontier: Frontier,
}

impl Tree {
    fn of(count: u64) -> Self {
        let mut tree = Self {
            leaves: Vec::new(),
            stored: Vec::new(),
            frontier: Frontier::default(),
        };
        for number in 0..count {
            let leaf = leaf_hash(&number.to_be_bytes());
            tree.leaves.push(leaf);
            let stored = &mut tree.stored;
            tree.frontier.push(leaf, |place, hash| {
                if place.is_stored() {
                    stored.push((place, *hash));
                }
            });
        }
        tree
    }
}

impl Leaves for Tree {
    fn leaves(&self, from: u64, count: usize) -> io::Result<Vec<Hash>> {
        Ok(self.leaves[from as usize..][..count].to_vec())
    }

    fn stored(&self, place: Place) -> io::Result<Hash> {
        let found = self.stored.iter().find(|(known, _)| *known == place);
        Ok(found.ok_or(io::ErrorKind::NotFound)?.1)
    }
}

#[test]
fn known_answers() {
    // RFC 6962's own: the empty tree; leaves of Certificate Transparency's test vectors.
    let hex = |hash: Hash| blake3::Hash::from(hash).to_hex().to_string();
    assert_eq!(
        hex(empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        hex(leaf_hash(b"")),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(leaf_hash(leaf), |_, _| {});
    }
    assert_eq!(
        hex(frontier.root()),
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
}

#[test]
fn stored_nodes_are_few() {
    assert_eq!(Tree::of(1023).stored.len(), 3);
    assert_eq!(Tree::of(1024).stored.len(), 4);
}

#[test]
fn proofs_out_of_range_are_refused() {
    let tree = Tree::of(5);
    assert!(inclusion(&tree, 5, 5).is_err());
    assert!(consistency(&tree, 0, 5).is_err());
    assert!(consistency(&tree, 6, 5).is_err());
    let root = tree.frontier.root();
    let leaf = tree.leaves[0];
    assert_eq!(
        verify_inclusion(5, &leaf, 5, &[], &root),
        Err(ProofError::Sizes)
    );
    assert_eq!(
        verify_consistency(6, &root, 5, &root, &[]),
        Err(ProofError::Sizes)
    );
    assert_eq!(verify_consistency(0, &empty_root(), 5, &root, &[]), Ok(()));
    assert_eq!(
        verify_consistency(0, &root, 5, &root, &[]),
        Err(ProofError::Root)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_made_is_what_the_rfc_defines(size in 1_u64..1500, a in 0_u64..1500, b in 0_u64..1500) {
        let tree = Tree::of(size);
        prop_assert_eq!(tree.frontier.root(), definition(&tree.leaves));
        let old = 1 + a % size;
        let old_root = root(&tree, old).unwrap();
        prop_assert_eq!(old_root, definition(&tree.leaves[..old as usize]));

        prop_assert_eq!(peaks(&tree, size).unwrap(), tree.frontier.peaks().to_vec());

        let leaf = b % size;
        let made = inclusion(&tree, leaf, size).unwrap();
        prop_assert_eq!(&made, &path(leaf as usize, &tree.leaves));
        let made = consistency(&tree, old, size).unwrap();
        prop_assert_eq!(&made, &proof(old as usize, &tree.leaves, true));
    }

    #[test]
    fn proofs_hold_and_nothing_else_does(
        size in 1_u64..600, a in 0_u64..600, b in 0_u64..600, spoilt in 0_usize..20, bit in 0_usize..256,
    ) {
        let tree = Tree::of(size);
        let new_root = tree.frontier.root();
        let (leaf, old) = (b % size, 1 + a % size);
        let spoil = |proof: &[Hash]| {
            let mut proof = proof.to_vec();
            let at = spoilt % proof.len().max(1);
            match proof.get_mut(at) {
                Some(hash) => hash[bit / 8] ^= 1 << (bit % 8),
                None => proof.push([7; 32]),
            }
            proof
        };
        let made = inclusion(&tree, leaf, size).unwrap();
        let hash = tree.leaves[leaf as usize];
        prop_assert_eq!(verify_inclusion(leaf, &hash, size, &made, &new_root), Ok(()));
        prop_assert!(verify_inclusion(leaf, &hash, size, &spoil(&made), &new_root).is_err());
        prop_assert!(verify_inclusion(leaf, &[0; 32], size, &made, &new_root).is_err());
        let other = (leaf + 1) % size;
        prop_assert!(other == leaf || verify_inclusion(other, &hash, size, &made, &new_root).is_err());

        let made = consistency(&tree, old, size).unwrap();
        let old_root = root(&tree, old).unwrap();
        prop_assert_eq!(verify_consistency(old, &old_root, size, &new_root, &made), Ok(()));
        prop_assert!(verify_consistency(old, &old_root, size, &new_root, &spoil(&made)).is_err());
        prop_assert!(verify_consistency(old, &[0; 32], size, &new_root, &made).is_err());
        prop_assert!(verify_consistency(old, &old_root, size, &[0; 32], &made).is_err());
    }
}
