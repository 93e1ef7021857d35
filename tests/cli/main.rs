//! Tests of the subject: cli.
mod verbs;
