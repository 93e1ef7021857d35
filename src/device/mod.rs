//! Where arithmetic runs.
