//! libFuzzer around the target named by `FUZZ_TARGET`. Built in earnest only by `cargo xtask fuzz`, which sets the feature and the instrumentation.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
mod under_libfuzzer {
    use std::backtrace::Backtrace;
    use std::panic::{self, PanicHookInfo};
    use std::sync::{Mutex, OnceLock};

    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    static LAST_PANIC: Mutex<Option<(String, Backtrace)>> = Mutex::new(None);

    fn chosen() -> fn(&[u8]) {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        fuzz::target(&name).expect("there is such a target")
    }

    /// A panic that is caught inside a target is no defect: it is only remembered here.
    fn remember(panic: &PanicHookInfo<'_>) {
        *LAST_PANIC.lock().expect("held for a moment only") = Some((panic.to_string(), Backtrace::force_capture()));
    }

    #[expect(clippy::print_stderr, reason = "libFuzzer's own log is there")]
    fn run(bytes: &[u8]) {
        let target = CHOSEN.get_or_init(chosen);
        if panic::catch_unwind(|| target(bytes)).is_err() {
            if let Some((message, backtrace)) = &*LAST_PANIC.lock().expect("held for a moment only") {
                eprintln!("{backtrace}\n{message}");
            }
            std::process::abort();
        }
    }

    libfuzzer_sys::fuzz_target!(init: panic::set_hook(Box::new(remember)), |bytes: &[u8]| run(bytes));
}

#[cfg(not(feature = "libfuzzer"))]
#[expect(clippy::print_stdout, reason = "says what to do instead")]
fn main() {
    println!("Run `cargo xtask fuzz`.");
}
