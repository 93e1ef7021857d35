//! Panics of libraries that read untrusted files, caught and kept off stderr.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`quietly`].
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it becomes `Err` with the panic's message, and prints nothing.
///
/// The process's panic hook is wrapped once: the wrapper is silent on a thread that is inside
/// `quietly`, and passes every other panic on to the hook that was there before.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static INSTALL: Once = Once::new();
    // The hook cannot be changed by a thread that is panicking (a decode in some `drop`).
    if !std::thread::panicking() {
        INSTALL.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |info| {
                if !QUIET.try_with(Cell::get).unwrap_or(false) {
                    before(info);
                }
            }));
        });
    }
    let outer = QUIET.replace(true);
    // Unwind safety: `work` owns what it writes, and it is dropped with the panic.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    outcome.map_err(|payload| message(&*payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_the_flag_is_put_back() {
        assert_eq!(quietly(|| 7), Ok(7));
        let caught = quietly(|| -> u8 { panic!("broken {}", 3) });
        assert_eq!(caught, Err("broken 3".to_owned()));
        assert!(!QUIET.get());
        let nested = quietly(|| {
            let inner = quietly(|| -> u8 { panic!("inner") });
            (inner, QUIET.get())
        });
        assert_eq!(nested, Ok((Err("inner".to_owned()), true)));
    }

    /// What this test binary prints to stderr when it runs `child` with `CHILD` set.
    fn stderr_of_child(child: &str) -> String {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child, "--nocapture", "--test-threads=1"])
            .env("DOPPEL_QUIET_CHILD", "1")
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[test]
    fn only_panics_inside_are_silent() {
        if std::env::var_os("DOPPEL_QUIET_CHILD").is_some() {
            assert!(quietly(|| panic!("pumpkin")).is_err());
            assert!(catch_unwind(|| panic!("gherkin")).is_err());
            let other = std::thread::scope(|scope| {
                quietly(|| scope.spawn(|| panic!("turnip")).join().is_err())
            });
            assert_eq!(other, Ok(true));
            return;
        }
        let printed = stderr_of_child("quiet::tests::only_panics_inside_are_silent");
        assert!(!printed.contains("pumpkin"), "{printed}");
        assert!(printed.contains("gherkin"), "{printed}");
        assert!(printed.contains("turnip"), "{printed}");
    }
}
