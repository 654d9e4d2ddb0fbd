//! What is needed of an X.509 certificate that rustls does not tell: the key, the times, the names, the use.

use std::net::IpAddr;

/// A part of DER: what it is, its inside, and all of it.
#[derive(Clone, Copy)]
struct Part<'a> {
    tag: u8,
    inside: &'a [u8],
    whole: &'a [u8],
}

const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version and the extensions of a certificate.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.37
const EXTENDED_USE: &[u8] = &[0x55, 0x1d, 0x25];
/// 2.5.29.37.0
const ANY_USE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// 1.3.6.1.5.5.7.3.2
const CLIENT_USE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// What a certificate says.
pub(super) struct Certificate<'a> {
    /// The key, as DER.
    pub(super) public_key: &'a [u8],
    /// From when to when it is valid, in seconds of Unix time.
    pub(super) valid: (i64, i64),
    /// Its DNS names, mail addresses, URIs and IP addresses, as Go writes them.
    pub(super) names: Vec<String>,
    /// Whether a client may show it.
    pub(super) for_clients: bool,
}

/// Reads a certificate; none if it is none.
pub(super) fn parse(der: &[u8]) -> Option<Certificate<'_>> {
    let (all, _) = part(der).filter(|(part, rest)| part.tag == SEQUENCE && rest.is_empty())?;
    let (told, _) = part(all.inside).filter(|(part, _)| part.tag == SEQUENCE)?;
    let mut parts = Parts(told.inside).skip_while(|part| part.tag == VERSION);
    let (_serial, _algorithm, _issuer) = (parts.next()?, parts.next()?, parts.next()?);
    let (valid, _subject, key) = (parts.next()?, parts.next()?, parts.next()?);
    let mut times = Parts(valid.inside).map(time);
    let mut certificate = Certificate {
        public_key: (key.tag == SEQUENCE).then_some(key.whole)?,
        valid: (times.next()??, times.next()??),
        names: Vec::new(),
        for_clients: true,
    };
    if let Some(extensions) = parts.find(|part| part.tag == EXTENSIONS) {
        let (list, _) = part(extensions.inside)?;
        for extension in Parts(list.inside) {
            let name = Parts(extension.inside).next().filter(|part| part.tag == OID)?;
            let value = Parts(extension.inside).find(|part| part.tag == OCTETS)?;
            let (value, _) = part(value.inside)?;
            match name.inside {
                ALTERNATIVE_NAMES => certificate.names = Parts(value.inside).filter_map(alternative_name).collect(),
                EXTENDED_USE => {
                    let is_fit = |part: Part| part.inside == CLIENT_USE || part.inside == ANY_USE;
                    certificate.for_clients = Parts(value.inside).any(is_fit);
                }
                _ => {}
            }
        }
    }
    Some(certificate)
}

fn alternative_name(part: Part) -> Option<String> {
    match (part.tag, part.inside) {
        // A mail address, a DNS name, a URI.
        (0x81 | 0x82 | 0x86, text) => String::from_utf8(text.to_vec()).ok(),
        (0x87, bytes) => {
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()?;
            Some(address.to_canonical().to_string())
        }
        _ => None,
    }
}

/// `260101000000Z` or `20260101000000Z` in seconds of Unix time.
fn time(part: Part) -> Option<i64> {
    let digits = std::str::from_utf8(part.inside).ok()?.strip_suffix('Z')?;
    let (year, rest) = digits.split_at_checked(if part.tag == UTC_TIME { 2 } else { 4 })?;
    if !matches!(part.tag, UTC_TIME | TIME) || rest.len() != 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let year: i64 = year.parse().ok()?;
    let year = match part.tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        _ => year,
    };
    let (month, day) = (two(0)?, two(2)?);
    // Days since 1970-01-01, by years that begin in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years.div_euclid(4) - years.div_euclid(100)
        + years.div_euclid(400)
        + (months * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    Some(days * 86_400 + two(4)? * 3600 + two(6)? * 60 + two(8)?)
}

/// The first part, and what is behind it.
fn part(der: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let [tag, length, behind @ ..] = der else { return None };
    let (length, behind) = match *length {
        short @ ..=0x7f => (usize::from(short), behind),
        // Longer than 2^32 there is nothing.
        long @ 0x81..=0x84 => {
            let (bytes, behind) = behind.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), behind)
        }
        _ => return None,
    };
    let (inside, rest) = behind.split_at_checked(length)?;
    let whole = der.get(..der.len() - rest.len())?;
    Some((Part { tag: *tag, inside, whole }, rest))
}

/// The parts one after another; it ends at what is none.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let (part, rest) = part(self.0)?;
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd};

    #[test]
    fn what_a_certificate_says_is_read() {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.subject_alt_names.extend([
            SanType::Rfc822Name("a@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example/a".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ]);
        params.not_before = date_time_ymd(1970, 1, 1);
        params.not_after = date_time_ymd(2100, 3, 1);
        let key = KeyPair::generate().unwrap();
        let one = params.clone().self_signed(&key).unwrap();
        let read = parse(one.der()).unwrap();
        let names = ["a.example", "a@example.org", "spiffe://example/a", "10.0.0.1", "2001:db8::1"];
        assert_eq!(read.names, names);
        assert_eq!(read.valid, (0, 4_107_542_400));
        assert!(read.for_clients, "for everything, as nothing is said");
        for (purpose, fits) in [
            (ExtendedKeyUsagePurpose::ClientAuth, true),
            (ExtendedKeyUsagePurpose::Any, true),
            (ExtendedKeyUsagePurpose::ServerAuth, false),
        ] {
            params.extended_key_usages = vec![purpose];
            assert_eq!(parse(params.clone().self_signed(&key).unwrap().der()).unwrap().for_clients, fits);
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let key = KeyPair::generate().unwrap();
            let mut der = CertificateParams::new(["a".to_owned()]).unwrap().self_signed(&key).unwrap().der().to_vec();
            let length = der.len();
            der[at.index(length)] = byte;
            let _ = parse(&der);
            let _ = parse(&der[..cut.index(length)]);
        }
    }
}
