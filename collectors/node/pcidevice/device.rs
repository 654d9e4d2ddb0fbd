//! What a device is, and where it is: read when devices come or go.

use super::FOLDER;
use crate::kit::{Error, Host, Root, parse};
use crate::model::Batch;

/// The numbers of a device's makers and kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ids {
    pub(super) vendor: u64,
    pub(super) device: u64,
    pub(super) subsystem_vendor: u64,
    pub(super) subsystem_device: u64,
    pub(super) class: u64,
    pub(super) revision: u64,
}

/// `0000:04:00.1`: segment, bus, device and function.
pub(super) type Place = [String; 4];

#[derive(Debug, PartialEq)]
pub(super) struct Device {
    /// Its folder.
    pub(super) name: String,
    pub(super) place: Place,
    /// The bridge that it is behind.
    pub(super) parent: Option<Place>,
    pub(super) ids: Ids,
}

impl Device {
    /// `None`: it is no device, or it is gone.
    pub(super) fn find(name: &str, host: &mut Host, out: &mut Batch) -> Option<Self> {
        let place = place(name)?;
        // The link leads through the bridges: the last but one is the next to it.
        let link = host.link(Root::Sys, format_args!("{FOLDER}/{name}"));
        let parent = out.found(link).and_then(|link| self::place(link.rsplit('/').nth(1)?));
        let mut id = |file| {
            let path = format_args!("{FOLDER}/{name}/{file}");
            let id = host.read(Root::Sys, path).and_then(|text| {
                parse::hex(parse::trim(text))
                    .ok_or_else(|| Error::malformed(&format!("/sys/{path}"), 1, "a hexadecimal number"))
            });
            out.found(id).unwrap_or_default()
        };
        let ids = Ids {
            vendor: id("vendor"),
            device: id("device"),
            subsystem_vendor: id("subsystem_vendor"),
            subsystem_device: id("subsystem_device"),
            class: id("class"),
            revision: id("revision"),
        };
        Some(Self { name: name.to_owned(), place, parent, ids })
    }
}

/// `0000:04:00.1`: the four parts; `None` for what is no device, such as `pci0000:00`.
pub(super) fn place(name: &str) -> Option<Place> {
    let (segment, rest) = name.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let number = |text: &str, width| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = parse::hex(text.as_bytes()).filter(|_| is_plain)?;
        Some(format!("{number:0width$x}"))
    };
    Some([number(segment, 4)?, number(bus, 2)?, number(device, 2)?, number(function, 1)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places() {
        assert_eq!(place("0000:04:1f.7"), Some(["0000", "04", "1f", "7"].map(str::to_owned)));
        assert_eq!(place("10000:e1:00.0"), Some(["10000", "e1", "00", "0"].map(str::to_owned)));
        for bad in ["pci0000:00", "0000:04:00", "0000:04.0", "0x0:04:00.1", "", "::."] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String, rest in "[0-9a-f:.]{0,14}") {
            place(&name);
            place(&rest);
        }
    }
}
