//! robustness: csv
