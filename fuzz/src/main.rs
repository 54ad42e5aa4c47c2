//! libFuzzer around the target named by `FUZZ_TARGET`. Built in earnest only by `cargo xtask fuzz`, which sets the feature and the instrumentation.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
mod under_libfuzzer {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();

    fn chosen() -> fn(&[u8]) {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        fuzz::target(&name).expect("there is such a target")
    }

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| CHOSEN.get_or_init(chosen)(bytes));
}

#[cfg(not(feature = "libfuzzer"))]
#[expect(clippy::print_stdout, reason = "says what to do instead")]
fn main() {
    println!("Run `cargo xtask fuzz`.");
}
