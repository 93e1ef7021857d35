//! `engine match --work`: runs that are killed, that find the disk full, that share a folder or that find
//! one of other settings. Each ends with one line or goes on, and the results are the same bytes.

mod bench;
mod changed;
mod disk;
mod folder;
mod kill;
mod partly;
