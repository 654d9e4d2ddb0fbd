//! Tables of attributes: what the files of a device's folder in sysfs are called, and the families of their figures.

use super::{Error, Host, Root, parse};
use crate::model::{Batch, Entity, Family, Value, counter, gauge};

/// A file that holds one whole number, and the family of its figure.
#[derive(Debug)]
pub struct Attribute {
    /// The file's name.
    pub file: &'static str,
    /// What it tells.
    pub family: Family,
    /// It counts in 10^-n units.
    decimals: u8,
    /// It counts in so many units.
    factor: u32,
}

impl Attribute {
    /// A figure that goes up and down.
    pub const fn gauge(
        file: &'static str,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self { file, family: gauge(name, help, labels), decimals: 0, factor: 1 }
    }

    /// A figure that only grows.
    pub const fn counter(
        file: &'static str,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self { file, family: counter(name, help, labels), decimals: 0, factor: 1 }
    }

    /// The kernel counts in 10^-`decimals` units: 6 for microvolts.
    pub const fn scaled(mut self, decimals: u8) -> Self {
        self.decimals = decimals;
        self
    }

    /// The kernel counts in so many units at once.
    pub const fn times(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    /// Reads the file in a folder of sysfs; `None`: there is no figure.
    ///
    /// # Errors
    /// What the kernel answered, or that it is no number.
    pub fn read(&self, host: &mut Host, folder: &str) -> Result<Option<Value>, Error> {
        let path = format_args!("{folder}/{}", self.file);
        match number(host.read(Root::Sys, path)?) {
            Number::Is(number) => Ok(Some(self.value(number))),
            Number::NotCounted => Ok(None),
            Number::Malformed => Err(Error::malformed(&format!("/sys/{path}"), 1, "a whole number")),
        }
    }

    fn value(&self, number: i128) -> Value {
        let number = number * i128::from(self.factor);
        match (i64::try_from(number), self.decimals) {
            (Ok(number), 0) => Value::Int(number),
            (Ok(number), decimals) => Value::Scaled(number, decimals),
            (Err(_), decimals) => Value::Float(number as f64 / 10f64.powi(i32::from(decimals))),
        }
    }
}

/// The families of a table and others besides, for the collector's row.
pub const fn families<const N: usize, const M: usize, const ALL: usize>(
    table: &'static [Attribute; N],
    others: [&'static Family; M],
) -> [&'static Family; ALL] {
    assert!(N + M == ALL);
    let mut families = [&table[0].family; ALL];
    let mut at = 0;
    while at < ALL {
        families[at] = if at < N { &table[at].family } else { others[at - N] };
        at += 1;
    }
    families
}

/// Puts what the files of a folder in sysfs tell, as far as they are there.
pub fn put(table: &'static [Attribute], folder: &str, of: Entity, host: &mut Host, out: &mut Batch) {
    let names = host.names(Root::Sys, folder);
    let Some(names) = out.found(names) else { return };
    for attribute in table {
        if names.binary_search_by(|name| name.as_str().cmp(attribute.file)).is_ok() {
            let value = attribute.read(host, folder);
            let value = out.found(value).flatten();
            out.put_some(&attribute.family, of, value);
        }
    }
}

/// The words in files of a folder in sysfs, for labels; empty where there is none.
pub fn words<const N: usize>(files: &[&str; N], folder: &str, host: &mut Host, out: &mut Batch) -> [String; N] {
    files.map(|file| out.found(host.text(Root::Sys, format_args!("{folder}/{file}"))).unwrap_or_default())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Is(i128),
    /// The device does not count this.
    NotCounted,
    Malformed,
}

/// `42`, `-3` or `0x2a`. Of what they do not count, Fibre Channel adapters say `0xffffffffffffffff` and InfiniBand
/// adapters `N/A (no PMA)`.
fn number(text: &[u8]) -> Number {
    let text = parse::trim(text);
    if text.starts_with(b"N/A") {
        return Number::NotCounted;
    }
    let number = match text.strip_prefix(b"0x") {
        Some(digits) => match parse::hex(digits) {
            Some(u64::MAX) => return Number::NotCounted,
            number => number.map(i128::from),
        },
        None => parse::number(text).map(i128::from).or_else(|| parse::signed(text).map(i128::from)),
    };
    number.map_or(Number::Malformed, Number::Is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_as_devices_write_them() {
        assert_eq!(number(b"42\n"), Number::Is(42));
        assert_eq!(number(b"-3\n"), Number::Is(-3));
        assert_eq!(number(b"0x2a\n"), Number::Is(42));
        assert_eq!(number(b"18446744073709551615\n"), Number::Is(u64::MAX.into()));
        assert_eq!(number(b"0xffffffffffffffff\n"), Number::NotCounted);
        assert_eq!(number(b"N/A (no PMA)\n"), Number::NotCounted);
        for bad in [&b""[..], b"\n", b"0x", b"1.5", b"many"] {
            assert_eq!(number(bad), Number::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn figures_in_base_units() {
        let attribute = |decimals, factor| Attribute::gauge("", "", "", &[]).scaled(decimals).times(factor);
        assert_eq!(attribute(0, 1).value(-1), Value::Int(-1));
        assert_eq!(attribute(6, 1).value(11_500_000), Value::Scaled(11_500_000, 6));
        assert_eq!(attribute(0, 4).value(i128::from(u64::MAX)), Value::Float(u64::MAX as f64 * 4.0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, decimals in 0u8..10, factor: u32, n: u64) {
            number(&bytes);
            Attribute::gauge("", "", "", &[]).scaled(decimals).times(factor).value(i128::from(n));
        }
    }
}
