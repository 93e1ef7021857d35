//! The last line of a program whose weight file was cut while it was mapped.
//!
//! Touching a page that the file does not have any more raises SIGBUS. When the address lies in one of
//! doppel's live maps, one line on stderr names the file and the program ends with 2. Any other SIGBUS
//! goes to whoever handled it before. A handler may do next to nothing: this one reads atomics and
//! calls `write` and `_exit`.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use doppel::nn::weights::{NAME_BYTES, live_map_at};

/// What was installed before: the handler and its flags.
static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static BEFORE_FLAGS: AtomicI32 = AtomicI32::new(0);
/// Whether a thread is already saying the last line.
static SAYING: AtomicBool = AtomicBool::new(false);

const START: &[u8] = b"error: ";
const END: &[u8] =
    b": the file was cut, or its disk failed, while its weights were loaded; start again \
    when nothing writes to the file, or with --no-mmap\n";

/// Installs the handler; a second time does nothing.
pub fn install() {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
    let handler = handler as libc::sighandler_t;
    // SAFETY: both structures are plain data, for which zeros are valid and which live through the
    // calls; `handle` has the signature that SA_SIGINFO promises and does only what a handler may.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before) != 0
            || before.sa_sigaction == handler
        {
            return;
        }
        BEFORE.store(before.sa_sigaction, Ordering::Relaxed);
        BEFORE_FLAGS.store(before.sa_flags, Ordering::Release);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        // Where it fails, SIGBUS stays what it was.
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the system passes a valid `siginfo_t`, whose address field is set for
    // every SIGBUS that it raised itself (a positive code).
    let (fault, address) = unsafe { ((*info).si_code > 0, (*info).si_addr() as usize) };
    if fault {
        let mut line = [0; START.len() + NAME_BYTES + END.len()];
        let (start, rest) = line.split_at_mut(START.len());
        start.copy_from_slice(START);
        if let Some(name) = live_map_at(address, &mut rest[..NAME_BYTES]) {
            rest[name..name + END.len()].copy_from_slice(END);
            say_and_end(&line[..START.len() + name + END.len()]);
        }
    }
    // SAFETY: these are the arguments that the system passed to this very handler.
    unsafe { hand_on(fault, signal, info, context) }
}

/// Writes the line, once, and ends the process.
fn say_and_end(line: &[u8]) -> ! {
    if !SAYING.swap(true, Ordering::Relaxed) {
        // SAFETY: `line` is memory of this frame; `write` and `_exit` are safe in a handler. That the
        // line could not be written changes nothing.
        unsafe {
            libc::write(2, line.as_ptr().cast(), line.len());
            libc::_exit(2)
        }
    }
    // Another thread faulted first; its `_exit` ends this one too.
    loop {
        std::hint::spin_loop();
    }
}

/// Gives the signal to whoever handled it before.
///
/// # Safety
/// The arguments must be those of a SIGBUS that is being handled.
unsafe fn hand_on(fault: bool, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let flags = BEFORE_FLAGS.load(Ordering::Acquire);
    let before = BEFORE.load(Ordering::Relaxed);
    match before {
        libc::SIG_IGN if !fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: `signal` and `raise` are safe in a handler. A fault comes again when this
            // returns to it, and what was sent is pending until then: both now end the process.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if !fault {
                    libc::raise(signal);
                }
            }
        }
        _ if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: `sigaction` gave this address as a handler with SA_SIGINFO, which has this
            // signature; addresses and function pointers have the same size here.
            let handler = unsafe {
                std::mem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(
                    before,
                )
            };
            handler(signal, info, context);
        }
        _ => {
            // SAFETY: the same, without SA_SIGINFO: a handler takes the signal's number alone.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(before) };
            handler(signal);
        }
    }
}
