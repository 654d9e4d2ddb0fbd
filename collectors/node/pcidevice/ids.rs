//! `pci.ids`: the names of vendors, devices and classes, from a file of a thousand kilobytes that is kept by pciutils.
//!
//! The file is read only when a device is new, and only what the machine has is kept.

use super::device::Ids;
use crate::kit::{Error, Host, Root, parse};
use std::collections::{BTreeMap, HashMap};

/// Where distributions put it.
const PATHS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
const FILE_MAX: usize = 16 << 20;

/// Names of the vendor, the device, the maker of the card, the card, and the class.
pub(super) type Names = [String; 5];

/// The names of what the machine has.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The file that the user named.
    file: Option<String>,
    known: HashMap<Ids, Names>,
}

impl Book {
    pub(super) fn new(file: Option<&str>) -> Self {
        Self { file: file.map(str::to_owned), known: HashMap::new() }
    }

    /// Looks up the names of all of these, and forgets those of others.
    ///
    /// # Errors
    /// The file that the user named does not read; the names are the numbers then.
    pub(super) fn learn(&mut self, all: &[Ids], host: &mut Host) -> Result<(), Error> {
        self.known.retain(|ids, _| all.contains(ids));
        let mut wanted = Wanted::default();
        all.iter().filter(|ids| !self.known.contains_key(*ids)).for_each(|ids| wanted.add(ids));
        if wanted.vendors.is_empty() {
            return Ok(());
        }
        let read = match &self.file {
            Some(path) => host.read_regular(path, FILE_MAX).map(|(text, _)| scan(text, &mut wanted)),
            None => {
                // Of the machine, else of the container that we run in.
                let rootfs = host.root(Root::Rootfs).to_owned();
                let mut paths =
                    [rootfs.as_str(), ""].into_iter().flat_map(|root| PATHS.map(|path| format!("{root}{path}")));
                paths.find_map(|path| {
                    let (text, _) = host.read_regular(&path, FILE_MAX).ok()?;
                    scan(text, &mut wanted);
                    Some(())
                });
                Ok(())
            }
        };
        for ids in all {
            self.known.entry(*ids).or_insert_with(|| wanted.names(ids));
        }
        read
    }

    pub(super) fn names(&self, ids: &Ids) -> Option<&Names> {
        self.known.get(ids)
    }
}

/// What is looked for, and what was found of it.
#[derive(Debug, Default)]
struct Wanted {
    vendors: BTreeMap<u64, Option<String>>,
    devices: BTreeMap<[u64; 2], Option<String>>,
    cards: BTreeMap<[u64; 4], Option<String>>,
    /// By how many bytes of the class are meant, and those.
    classes: BTreeMap<[u64; 2], Option<String>>,
}

impl Wanted {
    fn add(&mut self, ids: &Ids) {
        let &Ids { vendor, device, subsystem_vendor, subsystem_device, class, .. } = ids;
        self.vendors.extend([(vendor, None), (subsystem_vendor, None)]);
        self.devices.insert([vendor, device], None);
        self.cards.insert([vendor, device, subsystem_vendor, subsystem_device], None);
        self.classes.extend(parts(class).map(|part| (part, None)));
    }

    /// What has no name goes by its number.
    fn names(&self, ids: &Ids) -> Names {
        let &Ids { vendor, device, subsystem_vendor, subsystem_device, class, .. } = ids;
        let or =
            |name: Option<&Option<String>>, number| name.cloned().flatten().unwrap_or_else(|| format!("{number:04x}"));
        let class_name = parts(class).iter().find_map(|part| self.classes.get(part).cloned().flatten());
        [
            or(self.vendors.get(&vendor), vendor),
            or(self.devices.get(&[vendor, device]), device),
            or(self.vendors.get(&subsystem_vendor), subsystem_vendor),
            or(self.cards.get(&[vendor, device, subsystem_vendor, subsystem_device]), subsystem_device),
            class_name.unwrap_or_else(|| format!("Unknown class ({class:06x})")),
        ]
    }
}

/// The whole class, the class without its programming interface, and its first byte.
fn parts(class: u64) -> [[u64; 2]; 3] {
    [[3, class], [2, class >> 8], [1, class >> 16]]
}

/// Where a line is: below which vendor and device, or below which class.
#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    Vendor(u64),
    Device(u64, u64),
    Class(u64),
    Subclass(u64),
}

/// Finds what is wanted in the lines of `pci.ids`.
fn scan(text: &[u8], wanted: &mut Wanted) {
    let mut place = Place::Nowhere;
    for line in parse::lines(text).filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
        let depth = line.iter().take_while(|byte| **byte == b'\t').count();
        let Some((numbers, name)) = entry(&line[depth..]) else { continue };
        let mut words = parse::words(numbers);
        let first = words.next();
        let number = first.and_then(parse::hex);
        let second = words.next().and_then(parse::hex);
        let found = match (depth, place, number, second) {
            (0, _, _, Some(class)) if first == Some(b"C") => {
                place = Place::Class(class);
                wanted.classes.get_mut(&[1, class])
            }
            (0, _, Some(vendor), None) => {
                place = Place::Vendor(vendor);
                wanted.vendors.get_mut(&vendor)
            }
            (1, Place::Vendor(vendor) | Place::Device(vendor, _), Some(device), None) => {
                place = Place::Device(vendor, device);
                wanted.devices.get_mut(&[vendor, device])
            }
            (2, Place::Device(vendor, device), Some(maker), Some(card)) => {
                wanted.cards.get_mut(&[vendor, device, maker, card])
            }
            (1, Place::Class(class), Some(number), None) => {
                place = Place::Subclass(class << 8 | number & 0xff);
                wanted.classes.get_mut(&[2, class << 8 | number & 0xff])
            }
            (1, Place::Subclass(subclass), Some(number), None) => {
                place = Place::Subclass(subclass & !0xff | number & 0xff);
                wanted.classes.get_mut(&[2, subclass & !0xff | number & 0xff])
            }
            (2, Place::Subclass(subclass), Some(number), None) => {
                wanted.classes.get_mut(&[3, subclass << 8 | number & 0xff])
            }
            _ => None,
        };
        if let Some(found) = found {
            *found = Some(parse::text(name).into_owned());
        }
    }
}

/// `8086  Intel Corporation`: the numbers, and the name behind two blanks.
fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let gap = line.windows(2).position(|pair| pair == b"  ")?;
    Some((&line[..gap], &line[gap + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# comment\n\n1af4  Red Hat, Inc.\n\t1041  Virtio network device\n\t\t1af4 1041  A card\n\
        8086  Intel Corporation\n\t1237  440FX - 82441FX PMC [Natoma]\nffff  Illegal\n\
        C 01  Mass storage controller\n\t06  SATA controller\n\t\t01  AHCI 1.0\n\t08  Non-Volatile memory controller\n\
        \t\t02  NVM Express\nC 02  Network controller\n\t00  Ethernet controller\n";

    fn names(ids: [u64; 5]) -> Names {
        let [vendor, device, subsystem_vendor, subsystem_device, class] = ids;
        let ids = Ids { vendor, device, subsystem_vendor, subsystem_device, class, revision: 0 };
        let mut wanted = Wanted::default();
        wanted.add(&ids);
        scan(TEXT.as_bytes(), &mut wanted);
        wanted.names(&ids)
    }

    #[test]
    fn names_where_there_are_some() {
        assert_eq!(
            names([0x1af4, 0x1041, 0x1af4, 0x1041, 0x02_0000]),
            ["Red Hat, Inc.", "Virtio network device", "Red Hat, Inc.", "A card", "Ethernet controller"]
        );
        assert_eq!(
            names([0x8086, 0x1238, 0x1234, 0x7, 0x01_0802]),
            ["Intel Corporation", "1238", "1234", "0007", "NVM Express"]
        );
        assert_eq!(names([0x8086, 0x1237, 0, 0, 0x01_0601])[4], "AHCI 1.0");
        assert_eq!(names([0x8086, 0x1237, 0, 0, 0x01_0700])[4], "Mass storage controller");
        assert_eq!(names([1, 1, 1, 1, 0x0d_8000])[4], "Unknown class (0d8000)");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, lines in "(C |\t|\t\t|)[0-9a-f]{1,20}( [0-9a-f]{1,9})?  x\n{0,9}") {
            let mut wanted = Wanted::default();
            wanted.add(&Ids::default());
            scan(&bytes, &mut wanted);
            scan(lines.repeat(3).as_bytes(), &mut wanted);
        }
    }
}
