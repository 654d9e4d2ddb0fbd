//! Refuses a build that would not give a static binary, has the linker put our `__clone3` in the place of glibc's, lays out the
//! code as it is used, and keeps relocations short.

use std::env::var;
use std::process::Command;

/// In this order: what the first one names is not looked for in the second.
const LAYOUT: [&str; 2] = ["layout.often.ld", "layout.ld"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    LAYOUT.iter().for_each(|file| println!("cargo::rerun-if-changed={file}"));
    println!("cargo::rerun-if-env-changed=RUSTFLAGS");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let target = |what: &str| var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let is_static = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if is_static && target("ENV") == "gnu" {
        // collectors/kit/sys.rs says why. Tests start programs under the same seccomp profiles.
        println!("cargo::rustc-link-arg-bins=-Wl,--wrap=__clone3");
        println!("cargo::rustc-link-arg-tests=-Wl,--wrap=__clone3");
        let folder = var("CARGO_MANIFEST_DIR").unwrap_or_default();
        LAYOUT.iter().for_each(|file| println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/{file}"));
    }
    if is_static && target("ARCH") == "x86_64" && var("HOST") == var("TARGET") && has_relr() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if (target("OS").as_str(), target("ENV").as_str()) == ("linux", "gnu") && !is_static {
        println!(
            "cargo::error=this build would need the C library of the machine it runs on: the environment variable \
             RUSTFLAGS (or CARGO_ENCODED_RUSTFLAGS, or another directory's configuration) replaces the flags of \
             .cargo/config.toml, and with them the static linking. The command that works, from the repository's root: \
             env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo build --release; further flags go in with \
             --config 'target.\"cfg(all())\".rustflags=[\"-Dwarnings\"]'"
        );
    }
}

/// Whether the C library that is linked can move itself by relocations in their short form, which spare a third of a megabyte
/// of memory: glibc since 2.36. `ldd (Debian GLIBC 2.36-9) 2.36`.
fn has_relr() -> bool {
    let told = Command::new("ldd").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    let version = told.lines().next().and_then(|line| line.rsplit(' ').next()).and_then(|word| word.split_once('.'));
    let number = |word: &str| word.parse::<u32>().ok();
    version.and_then(|(major, minor)| Some((number(major)?, number(minor)?))).is_some_and(|version| version >= (2, 36))
}
