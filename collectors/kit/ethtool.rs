//! What the drivers of network interfaces say of themselves, over the ioctl of ethtool. Each question waits for the RTNL
//! lock, and some drivers ask their hardware.

use super::netlink::{Door, text, u32_at, u64_at};
use super::sys::{self, Room};
use super::{Error, Host};
use rustix::io::Errno;

/// `ETHTOOL_GSET` (up to Linux 4.5), `ETHTOOL_GDRVINFO`, `ETHTOOL_GSTRINGS`, `ETHTOOL_GSTATS`, `ETHTOOL_GLINKSETTINGS`.
const GSET: u32 = 0x1;
const GDRVINFO: u32 = 0x3;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GLINKSETTINGS: u32 = 0x4c;
/// `ETH_SS_STATS`: the names of the figures.
const NAMES_OF_FIGURES: u32 = 1;
/// How long the name of a figure is.
const NAME: usize = 32;
/// The structs of fixed size are smaller.
const STRUCT_MAX: usize = 256;
/// How many figures a driver may have.
const FIGURES_MAX: u32 = 50_000;
const _: () = assert!(FIGURES_MAX as usize * NAME + STRUCT_MAX < Room::SIZE);

/// Who drives an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the device's firmware.
    pub firmware: String,
    /// Where the device is plugged in.
    pub bus: String,
    /// The version of the device's expansion ROM.
    pub expansion_rom: String,
    /// How many figures it has.
    pub figures: u32,
}

/// What the link of an interface can do and does. A bit for each `ETHTOOL_LINK_MODE_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// What the device can do.
    pub supported: u128,
    /// What it offers to the other end.
    pub advertised: u128,
    /// Whether the two ends choose by themselves.
    pub autonegotiation: u8,
}

/// The recorded answers of a driver. What has no line, the driver does not support.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    driver: Option<Driver>,
    link: Option<Link>,
    figures: Vec<(String, u64)>,
}

impl Recorded {
    /// `driver NAME`, `version TEXT`, `firmware TEXT`, `bus TEXT`, `rom TEXT`, `link SUPPORTED ADVERTISED AUTONEG` (two
    /// hexadecimal numbers and 0 or 1), and `figure NUMBER NAME` for each; `Err` is a line that is none of them.
    pub(super) fn of(text: &str) -> Result<Self, &str> {
        let mut recorded = Self::default();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').ok_or(line)?;
            recorded.line(word, rest).ok_or(line)?;
        }
        let count = recorded.figures.len();
        if let Some(driver) = &mut recorded.driver {
            driver.figures = u32::try_from(count).unwrap_or(u32::MAX);
        }
        Ok(recorded)
    }

    fn line(&mut self, word: &str, rest: &str) -> Option<()> {
        let text = rest.to_owned();
        match word {
            "driver" => self.driver.get_or_insert_default().name = text,
            "version" => self.driver.get_or_insert_default().version = text,
            "firmware" => self.driver.get_or_insert_default().firmware = text,
            "bus" => self.driver.get_or_insert_default().bus = text,
            "rom" => self.driver.get_or_insert_default().expansion_rom = text,
            "figure" => {
                let (number, name) = rest.split_once(' ')?;
                self.figures.push((name.to_owned(), number.parse().ok()?));
            }
            "link" => {
                let mut words = rest.split(' ');
                let mut bits = || u128::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
                let (supported, advertised) = (bits()?, bits()?);
                let autonegotiation = words.next()?.parse().ok()?;
                self.link = Some(Link { supported, advertised, autonegotiation });
            }
            _ => return None,
        }
        Some(())
    }
}

impl Host {
    /// Who drives an interface.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn driver(&mut self, device: &str) -> Result<Driver, Error> {
        if let Some(recorded) = self.recorded(device) {
            return recorded?.driver.clone().ok_or_else(|| unsupported(device));
        }
        let answer = self.ethtool(device, &[GDRVINFO])?;
        let field = |at: usize| text(answer.get(at..at + NAME).unwrap_or_default());
        Ok(Driver {
            name: field(4),
            version: field(36),
            firmware: field(68),
            bus: field(100),
            expansion_rom: field(132),
            figures: u32_at(answer, 180).unwrap_or(0),
        })
    }

    /// What the link of an interface can do.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn link_modes(&mut self, device: &str) -> Result<Link, Error> {
        if let Some(recorded) = self.recorded(device) {
            return recorded?.link.ok_or_else(|| unsupported(device));
        }
        // Asked without room for the bits, the kernel says how many words of them it has, as a negative number.
        let words = match self.ethtool(device, &[GLINKSETTINGS]) {
            Ok(answer) => words_of_bits(answer).and_then(i8::checked_neg).filter(|words| *words > 0),
            Err(error) if error.is_unsupported() => {
                let answer = self.ethtool(device, &[GSET])?;
                let bits = |at| u32_at(answer, at).unwrap_or(0).into();
                return Ok(Link { supported: bits(4), advertised: bits(8), autonegotiation: answer[18] });
            }
            Err(error) => return Err(error),
        };
        let expected = || Error::malformed(&path(device), 0, "the link's settings");
        let words = words.ok_or_else(expected)?;
        // The number of words is the last byte of the fourth word.
        let question = [GLINKSETTINGS, 0, 0, u32::from_ne_bytes([0, 0, 0, words.cast_unsigned()])];
        let answer = self.ethtool(device, &question)?;
        if words_of_bits(answer) != Some(words) {
            return Err(expected());
        }
        let words = usize::from(words.unsigned_abs());
        let (supported, advertised) =
            (bits(answer, LINKSETTINGS, words), bits(answer, LINKSETTINGS + 4 * words, words));
        Ok(Link { supported, advertised, autonegotiation: answer[AUTONEGOTIATION] })
    }

    /// The names of so many figures of a driver; fewer or more if that is no longer how many it has.
    ///
    /// # Errors
    /// What the driver answered, or that it has too many.
    pub fn figure_names(&mut self, device: &str, count: u32) -> Result<Vec<String>, Error> {
        if let Some(recorded) = self.recorded(device) {
            return Ok(recorded?.figures.iter().map(|(name, _)| name.clone()).collect());
        }
        within(device, count)?;
        let answer = self.ethtool(device, &[GSTRINGS, NAMES_OF_FIGURES, count])?;
        let count = u32_at(answer, 8).unwrap_or(0);
        within(device, count)?;
        let names = answer.get(12..).unwrap_or_default().chunks_exact(NAME).take(count as usize);
        Ok(names.map(text).collect())
    }

    /// So many figures of a driver, in the order of their names; `None` if that is no longer how many it has.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn figures(&mut self, device: &str, count: u32) -> Result<Option<Vec<u64>>, Error> {
        if let Some(recorded) = self.recorded(device) {
            let figures = &recorded?.figures;
            return Ok((figures.len() == count as usize).then(|| figures.iter().map(|(_, figure)| *figure).collect()));
        }
        within(device, count)?;
        let answer = self.ethtool(device, &[GSTATS, count])?;
        if u32_at(answer, 4) != Some(count) {
            return Ok(None);
        }
        Ok(Some((0..count as usize).map_while(|at| u64_at(answer, 8 + 8 * at)).collect()))
    }

    fn recorded(&self, device: &str) -> Option<Result<&Recorded, Error>> {
        let replay = self.machine.replay.as_ref()?;
        Some(replay.ethtool.get(device).ok_or_else(|| unsupported(device)))
    }

    /// Asks, in words of 32 bits, for the struct that the kernel fills in.
    fn ethtool(&mut self, device: &str, question: &[u32]) -> Result<&[u8], Error> {
        let mut name = [0; sys::NAME_MAX];
        if device.len() >= name.len() {
            return Err(Error::from_errno(&path(device), Errno::NODEV));
        }
        name.iter_mut().zip(device.bytes()).for_each(|(place, byte)| *place = byte);
        self.ask_driver(name, question).map_err(|errno| Error::from_errno(&path(device), errno))?;
        Ok(self.room.as_mut().map(|room| &*room.bytes()).unwrap_or_default())
    }

    fn ask_driver(&mut self, device: [u8; sys::NAME_MAX], question: &[u32]) -> Result<(), Errno> {
        let room = match &mut self.room {
            Some(room) => room,
            none => none.insert(Room::new()?),
        };
        let words = question.iter().copied().chain(std::iter::repeat(0)).take(STRUCT_MAX / 4);
        let places = room.bytes().chunks_exact_mut(4);
        places.zip(words).for_each(|(place, word)| place.copy_from_slice(&word.to_ne_bytes()));
        let socket = self.sockets.open(&self.machine, Door::Ioctl)?;
        sys::ethtool(socket, device, room)
    }
}

/// Where the bits begin in `struct ethtool_link_settings`, and the places of two of its bytes.
const LINKSETTINGS: usize = 48;
const AUTONEGOTIATION: usize = 11;
const WORDS_OF_BITS: usize = 15;

fn words_of_bits(answer: &[u8]) -> Option<i8> {
    answer.get(WORDS_OF_BITS).map(|words| words.cast_signed())
}

/// Words of 32 bits as one number; bits beyond the 128th have no names yet.
fn bits(bytes: &[u8], start: usize, words: usize) -> u128 {
    let word = |at: usize| u128::from(u32_at(bytes, start + 4 * at).unwrap_or(0)) << (32 * at);
    (0..words.min(4)).map(word).sum()
}

fn within(device: &str, count: u32) -> Result<(), Error> {
    if count <= FIGURES_MAX {
        return Ok(());
    }
    Err(Error::Other { path: path(device), why: format!("more than {FIGURES_MAX} figures") })
}

fn path(device: &str) -> String {
    format!("ethtool {device}")
}

fn unsupported(device: &str) -> Error {
    Error::from_errno(&path(device), Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::super::{Child, Clock, Machine, Roots};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loopback_has_no_driver_to_ask() {
        let mut host = Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()));
        for device in ["lo", "no-such", "a-name-that-is-too-long"] {
            let error = host.driver(device).unwrap_err();
            assert!(error.is_unsupported() == (device == "lo"), "{error}");
            assert!(host.link_modes(device).is_err() && host.figures(device, 3).is_err());
        }
    }

    #[test]
    fn bits_are_words_of_32() {
        let bytes: Vec<u8> = (0..24).collect();
        assert_eq!(bits(&bytes, 4, 2), 0x0b0a_0908_0706_0504);
        assert_eq!(bits(&bytes, 20, 3), 0x1716_1514);
    }

    #[test]
    fn answers_are_recorded_as_text() {
        let recorded = Recorded::of("driver e1000e\nbus 0000:00:19.0\nlink 0x2ef 2ef 1\nfigure 7 rx bytes\n").unwrap();
        let driver = Driver { name: "e1000e".into(), bus: "0000:00:19.0".into(), figures: 1, ..Driver::default() };
        let link = Link { supported: 0x2ef, advertised: 0x2ef, autonegotiation: 1 };
        let figures = vec![("rx bytes".to_owned(), 7)];
        assert_eq!(recorded, Recorded { driver: Some(driver), link: Some(link), figures });
        for bad in ["driver", "link 1 1", "link x 1 1", "figure x", "figure -1 x", "speed 1"] {
            assert_eq!(Recorded::of(bad), Err(bad));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String, start in 0usize..100, words in 0usize..200) {
            bits(&bytes, start, words);
            let _ = (words_of_bits(&bytes), Recorded::of(&text));
        }
    }
}
