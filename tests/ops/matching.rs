//! ops: matching
