//! cli: verbs
