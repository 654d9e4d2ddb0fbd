//! How the binary under test is linked: static, so that it runs on any machine.
#![allow(clippy::unwrap_used)]

#[test]
fn the_flags_of_the_repository_are_in_force() {
    let is_static = cfg!(target_feature = "crt-static");
    assert!(is_static, "built without +crt-static: unset RUSTFLAGS, it replaces the flags of .cargo/config.toml");
}

#[test]
fn the_binary_asks_for_no_loader() {
    let elf = std::fs::read(crate::program::file()).unwrap();
    let kinds = segments(&elf).unwrap();
    const LOAD: u32 = 1;
    const INTERPRETER: u32 = 3;
    assert!(kinds.contains(&LOAD), "no PT_LOAD among the program headers {kinds:?}: they were not read right");
    assert!(!kinds.contains(&INTERPRETER), "PT_INTERP: the binary needs the C library of the machine that it runs on");
}

/// The types of an ELF file's program headers (64 bits, little-endian).
fn segments(elf: &[u8]) -> Option<Vec<u32>> {
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte)))
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    (0..count).map(|at| u32::try_from(number(table + at * size, 4)?).ok()).collect()
}
