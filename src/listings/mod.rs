//! Listings: CSV in, validation, the reject ledger, folds.
