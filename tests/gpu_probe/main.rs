//! The probe and the CUDA driver against a made-up libcuda, and, where there is one, a real card.
//!
//! The library is written in C beside this file, built by gcc into a temporary folder, and found
//! through `LD_LIBRARY_PATH` by a child process: this very program, told what to do by variables.
#![cfg(all(feature = "cuda", target_os = "linux"))]

mod card;
mod foreign;
mod made_up;
mod reasons;
mod streams;
mod tensor_maps;

/// What the child processes of the other tests run; alone it does nothing.
#[test]
fn child() {
    match std::env::var("DOPPEL_TEST_CHILD").as_deref() {
        Ok("probe") => reasons::child(),
        Ok("foreign") => foreign::child(),
        Ok("tensor maps") => tensor_maps::child(),
        Ok(scenario) => card::child(scenario),
        Err(_) => {}
    }
}
