//! Seeded weights.
