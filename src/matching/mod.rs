//! From neighbour lists to matches.
