//! ops: evaluate
