//! Clusters of real processes. One theme a file.

#![allow(missing_docs)]

mod crashes;
