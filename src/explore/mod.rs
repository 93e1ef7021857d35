//! Listings alone, looked at.
