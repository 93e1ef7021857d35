//! The command line as a user and a script see it: files, exit codes, JSON, one-line errors.

mod bad_input;
mod bench;
mod browser;
mod catalogue;
mod classify;
mod compare;
mod demo;
mod embed;
mod matching;
mod recipes;
mod report;
mod search;
mod simt;
mod synth;
mod titles;
mod tools;
mod tune;
mod verbs;
