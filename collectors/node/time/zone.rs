//! A time zone as the tz database keeps it: TZif, RFC 8536.
//!
//! The file holds the changes of the past, the kinds of time they lead to, and a line with the rule for the future.
//! Many files are "slim": the changes end with the last that was irregular, and the present is told by the rule.

use crate::kit::parse;

/// What the clocks of a zone show.
#[derive(Debug)]
pub(super) struct Zone {
    changes: Vec<(i64, usize)>,
    kinds: Vec<Kind>,
    rule: Option<Rule>,
}

/// A kind of time: its short name, and how many seconds it is ahead of UTC.
#[derive(Debug, PartialEq)]
struct Kind {
    name: String,
    offset: i64,
}

/// `CET-1CEST,M3.5.0,M10.5.0/3`: the usual time, and the summer's with its begin and end.
#[derive(Debug, PartialEq)]
struct Rule {
    usual: Kind,
    summer: Option<(Kind, Day, Day)>,
}

/// `M10.5.0/3`: the last Sunday of October at three.
#[derive(Debug, PartialEq)]
struct Day {
    month: i64,
    week: i64,
    weekday: i64,
    seconds: i64,
}

const DAY: i64 = 86_400;
/// How many of a thing a file may hold.
const COUNT_MAX: usize = 1 << 16;

impl Zone {
    /// No zone at all.
    pub(super) fn utc() -> Self {
        Self { changes: Vec::new(), kinds: vec![Kind { name: "UTC".to_owned(), offset: 0 }], rule: None }
    }

    /// Short name and seconds ahead of UTC at that time, given in seconds since 1970.
    pub(super) fn at(&self, now: i64) -> Option<(&str, i64)> {
        let passed = self.changes.partition_point(|(when, _)| *when <= now);
        let kind = match (&self.rule, passed.checked_sub(1)) {
            (Some(rule), _) if passed == self.changes.len() => Some(rule.at(now)),
            (_, Some(last)) => self.changes.get(last).and_then(|(_, kind)| self.kinds.get(*kind)),
            (_, None) => self.kinds.first(),
        };
        kind.map(|kind| (kind.name.as_str(), kind.offset))
    }
}

impl Rule {
    fn at(&self, now: i64) -> &Kind {
        let Some((summer, begin, end)) = &self.summer else { return &self.usual };
        let year = year_of(now.saturating_add(self.usual.offset).div_euclid(DAY));
        // Each is told in the time that ends with it.
        let begin = begin.in_year(year) - self.usual.offset;
        let end = end.in_year(year) - summer.offset;
        // South of the equator, summer includes the turn of the year.
        let is_summer = if begin < end { begin <= now && now < end } else { now < end || begin <= now };
        if is_summer { summer } else { &self.usual }
    }
}

impl Day {
    fn in_year(&self, year: i64) -> i64 {
        let first = days(year, self.month);
        let length = if self.month == 12 { 31 } else { days(year, self.month + 1) - first };
        // 1 January 1970 was a Thursday.
        let day = (self.weekday - (first + 4)).rem_euclid(7) + (self.week - 1) * 7;
        let day = if day >= length { day - 7 } else { day };
        (first + day) * DAY + self.seconds
    }
}

/// The days from 1970 to the first of a month.
fn days(year: i64, month: i64) -> i64 {
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 - 719_468
}

/// The year of a day counted from 1970.
fn year_of(day: i64) -> i64 {
    // 400 years have 146,097 days; the estimate is at most a year off.
    let year = 1970 + day.saturating_mul(400).div_euclid(146_097);
    match day {
        day if day < days(year, 1) => year - 1,
        day if day >= days(year + 1, 1) => year + 1,
        _ => year,
    }
}

struct Header {
    version: u8,
    to_utc: usize,
    to_standard: usize,
    leaps: usize,
    changes: usize,
    kinds: usize,
    letters: usize,
}

impl Header {
    /// How long the block behind it is, with times of so many bytes.
    fn length(&self, time: usize) -> usize {
        let changes = self.changes * (time + 1) + self.leaps * (time + 4);
        changes + self.kinds * 6 + self.letters + self.to_utc + self.to_standard
    }
}

/// `TZif2…`: a zone's file; `None` if it is none.
pub(super) fn parse(bytes: &[u8]) -> Option<Zone> {
    let (first, rest) = header(bytes)?;
    if first.version == 0 {
        return block(&first, rest.get(..first.length(4))?, 4);
    }
    let (second, rest) = header(rest.get(first.length(4)..)?)?;
    let (body, footer) = rest.split_at_checked(second.length(8))?;
    let mut zone = block(&second, body, 8)?;
    let line = parse::lines(footer.strip_prefix(b"\n")?).next()?;
    // Without a rule, the last change holds for ever.
    zone.rule = if line.is_empty() { None } else { Some(rule(line)?) };
    Some(zone)
}

fn header(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (head, rest) = bytes.split_at_checked(44)?;
    let version = *head.strip_prefix(b"TZif")?.first()?;
    let mut counts = head.get(20..)?.chunks_exact(4).map(signed);
    let mut next = || usize::try_from(counts.next()?).ok().filter(|count| *count <= COUNT_MAX);
    let (to_utc, to_standard, leaps) = (next()?, next()?, next()?);
    Some((Header { version, to_utc, to_standard, leaps, changes: next()?, kinds: next()?, letters: next()? }, rest))
}

fn block(header: &Header, body: &[u8], time: usize) -> Option<Zone> {
    let (times, rest) = body.split_at_checked(header.changes * time)?;
    let (leads_to, rest) = rest.split_at_checked(header.changes)?;
    let (kinds, rest) = rest.split_at_checked(header.kinds * 6)?;
    let letters = rest.get(..header.letters)?;
    let kind = |kind: &[u8]| {
        let (offset, rest) = kind.split_at_checked(4)?;
        let name = letters.get(usize::from(*rest.get(1)?)..)?.split(|byte| *byte == 0).next()?;
        Some(Kind { name: parse::text(name).into_owned(), offset: signed(offset) })
    };
    Some(Zone {
        changes: times.chunks_exact(time).map(signed).zip(leads_to.iter().map(|kind| usize::from(*kind))).collect(),
        kinds: kinds.chunks_exact(6).map(kind).collect::<Option<_>>()?,
        rule: None,
    })
}

/// Four or eight bytes, the greatest first: a number with sign.
fn signed(bytes: &[u8]) -> i64 {
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    bytes.iter().fold(if is_negative { -1 } else { 0 }, |sum, byte| sum << 8 | i64::from(*byte))
}

/// `CET-1CEST,M3.5.0,M10.5.0/3`: the rule; days that are counted from the year's begin are not understood.
fn rule(mut text: &[u8]) -> Option<Rule> {
    let text = &mut text;
    let name = name(text)?;
    let usual = Kind { name, offset: -clock(text)? };
    if text.is_empty() {
        return Some(Rule { usual, summer: None });
    }
    let name = self::name(text)?;
    let offset = if text.starts_with(b",") { usual.offset + 3600 } else { -clock(text)? };
    let summer = (Kind { name, offset }, day(text)?, day(text)?);
    text.is_empty().then_some(Rule { usual, summer: Some(summer) })
}

/// `CET…` or `<+0330>…`: a short name.
fn name(text: &mut &[u8]) -> Option<String> {
    let name = if eat(text, b"<") {
        let end = text.iter().position(|byte| *byte == b'>')?;
        let name = text.get(..end)?;
        *text = text.get(end + 1..)?;
        name
    } else {
        split(text, u8::is_ascii_alphabetic)
    };
    (!name.is_empty()).then(|| parse::text(name).into_owned())
}

/// `-3:30…`: seconds.
fn clock(text: &mut &[u8]) -> Option<i64> {
    let sign = if eat(text, b"-") { -1 } else { 1 };
    eat(text, b"+");
    let mut seconds = number(text)? * 3600;
    for unit in [60, 1] {
        if eat(text, b":") {
            seconds += number(text)? * unit;
        }
    }
    Some(sign * seconds)
}

/// `,M10.5.0/3…`: a day and a time, two o'clock if none is given.
fn day(text: &mut &[u8]) -> Option<Day> {
    let mut part = |mark: &[u8], least, most| {
        eat(text, mark).then_some(())?;
        number(text).filter(|number| (least..=most).contains(number))
    };
    let [month, week, weekday] = [part(b",M", 1, 12)?, part(b".", 1, 5)?, part(b".", 0, 6)?];
    let seconds = if eat(text, b"/") { clock(text)? } else { 2 * 3600 };
    Some(Day { month, week, weekday, seconds })
}

/// Up to three digits.
fn number(text: &mut &[u8]) -> Option<i64> {
    let digits = split(text, u8::is_ascii_digit);
    if digits.len() > 3 { None } else { parse::number(digits)?.try_into().ok() }
}

fn eat(text: &mut &[u8], mark: &[u8]) -> bool {
    text.strip_prefix(mark).map(|rest| *text = rest).is_some()
}

/// The bytes at the beginning that pass; they are taken off.
fn split<'a>(text: &mut &'a [u8], passes: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !passes(byte)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(version: &[u8], changes: &[(i64, u8)], kinds: &[(i32, u8)], letters: &[u8], footer: &str) -> Vec<u8> {
        let header = |counts: [usize; 3]| {
            let counts = counts.map(|count| (count as u32).to_be_bytes());
            [b"TZif", version, &[0; 15], &[0; 12], &counts.concat()].concat()
        };
        let mut bytes = Vec::new();
        if version != b"\0" {
            // An old reader finds an empty block with one kind.
            bytes.extend(header([0, 1, 1]));
            bytes.extend([0; 7]);
        }
        bytes.extend(header([changes.len(), kinds.len(), letters.len()]));
        for (when, _) in changes {
            let when = when.to_be_bytes();
            bytes.extend(if version == b"\0" { &when[4..] } else { &when[..] });
        }
        bytes.extend(changes.iter().map(|(_, kind)| *kind));
        kinds.iter().for_each(|(offset, name)| bytes.extend([&offset.to_be_bytes()[..], &[0, *name]].concat()));
        bytes.extend(letters);
        bytes.extend(footer.bytes());
        bytes
    }

    #[test]
    fn changes_of_the_past_and_the_rule_after_them() {
        let kinds = [(-1000, 0), (3600, 4)];
        let zone = parse(&file(b"2", &[(-5, 1), (100, 0)], &kinds, b"LMT\0CET\0", "\nXYZ-2\n")).unwrap();
        assert_eq!(zone.at(-6), Some(("LMT", -1000)));
        assert_eq!(zone.at(-5), Some(("CET", 3600)));
        assert_eq!(zone.at(99), Some(("CET", 3600)));
        assert_eq!(zone.at(100), Some(("XYZ", 7200)));
        let zone = parse(&file(b"\0", &[(-5, 1), (100, 0)], &kinds, b"LMT\0CET\0", "")).unwrap();
        assert_eq!((zone.at(0), zone.at(100)), (Some(("CET", 3600)), Some(("LMT", -1000))));
        assert_eq!(Zone::utc().at(0), Some(("UTC", 0)));
    }

    #[test]
    fn what_is_cut_short_is_no_zone() {
        let whole = file(b"2", &[(-5, 1)], &[(0, 0), (3600, 4)], b"LMT\0CET\0", "\nCET-1\n");
        assert!(parse(&whole).is_some());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn summer_begins_and_ends_to_the_second() {
        // Berlin, 2024: 31 March and 27 October, both at 1:00 UTC.
        let berlin = rule(b"CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |now| berlin.at(now).name.as_str();
        assert_eq!([at(1_711_846_799), at(1_711_846_800)], ["CET", "CEST"]);
        assert_eq!([at(1_729_990_799), at(1_729_990_800)], ["CEST", "CET"]);
        // Sydney, 2024: 7 April and 6 October, both at 16:00 UTC of the day before.
        let sydney = rule(b"AEST-10AEDT,M10.1.0,M4.1.0/3").unwrap();
        let at = |now| sydney.at(now).offset;
        assert_eq!([at(1_712_419_199), at(1_712_419_200)], [39_600, 36_000]);
        assert_eq!([at(1_728_143_999), at(1_728_144_000)], [36_000, 39_600]);
    }

    #[test]
    fn rules_in_all_their_forms() {
        let nuuk = rule(b"<-02>2<-01>,M3.5.0/-1,M10.5.0/0").unwrap();
        assert_eq!((nuuk.usual.name.as_str(), nuuk.usual.offset), ("-02", -7200));
        let (summer, begin, _) = nuuk.summer.unwrap();
        assert_eq!((summer.offset, begin.seconds), (-3600, -3600));
        assert_eq!(rule(b"<+0545>-5:45").unwrap().usual.offset, 20_700);
        for bad in
            [&b""[..], b"CET", b"-1", b"CET-1CEST", b"CET-1CEST,M13.5.0,M10.5.0", b"A1B,J79,J263", b"<A1", b"A1 "]
        {
            assert_eq!(rule(bad), None, "{}", parse::text(bad));
        }
    }

    #[test]
    fn years_begin_on_their_first_day() {
        for year in 1900..2400 {
            let first = days(year, 1);
            assert_eq!((year_of(first - 1), year_of(first)), (year - 1, year));
        }
        assert_eq!((days(1970, 1), days(2000, 3)), (0, 11_017));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, counts: [u8; 6], now: i64) {
            parse(&bytes);
            rule(&bytes);
            let counts = counts.map(|count| [0, 0, 0, count % 8]).concat();
            let head = [b"TZif\0", &[0; 15][..], &counts].concat();
            if let Some(zone) = parse(&[&head[..], &bytes].concat()) {
                zone.at(now);
            }
        }

        #[test]
        fn no_time_makes_a_rule_panic(now: i64) {
            rule(b"CET-1CEST,M3.5.0,M10.5.0/3").unwrap().at(now);
        }
    }
}
