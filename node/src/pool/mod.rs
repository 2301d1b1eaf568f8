//! scratch start
