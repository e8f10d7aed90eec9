//! One target under libFuzzer, which the variable `TIDINGS_FUZZ_TARGET` names. `TIDINGS_FUZZ_CORPUS` names the folder that
//! the target's seeds are written to at the start.

#![no_main]
#![expect(clippy::print_stderr, reason = "it has no other way to say what is wrong")]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidings_fuzz::Target;

static TARGET: OnceLock<&Target> = OnceLock::new();

fn start() {
    let names = || tidings_fuzz::TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let name = std::env::var("TIDINGS_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = tidings_fuzz::target(&name) else {
        eprintln!("TIDINGS_FUZZ_TARGET is {name:?}, expected one of: {}", names());
        std::process::exit(2);
    };
    TARGET.get_or_init(|| target);
    let Some(corpus) = std::env::var_os("TIDINGS_FUZZ_CORPUS").map(PathBuf::from) else { return };
    for (number, seed) in target.seeds.iter().enumerate() {
        if let Err(error) = std::fs::write(corpus.join(format!("seed-{number}")), seed) {
            eprintln!("cannot write the seeds to {}: {error}", corpus.display());
            std::process::exit(1);
        }
    }
}

fuzz_target!(init: start(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(input);
    }
});
