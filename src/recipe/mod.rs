//! A pipeline, from listings to matches.
