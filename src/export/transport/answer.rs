//! What an answer means, by the specification of OTLP: taken, refused for good, or to be sent again.

use super::words::{line, unescape};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use collectors::kit::protobuf::{Value, fields};
use std::time::{Duration, SystemTime};

/// How much of an answer is read.
pub(super) const BODY_MAX: usize = 64 << 10;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has it.
    Taken {
        /// How many points it refused for good.
        rejected: u64,
        /// What it said about that, or about anything else.
        message: Option<String>,
    },
    /// The receiver does not want it, now or later.
    Refused {
        /// Why.
        why: String,
    },
    /// It may be sent again.
    Later {
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
        /// What was wrong.
        why: String,
    },
}

impl Outcome {
    pub(super) fn later(why: impl Into<String>) -> Self {
        Outcome::Later { after: None, why: why.into() }
    }
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Whole(Vec<u8>),
    /// It goes on for longer than anybody reads.
    Long,
    /// The connection ended before it did.
    Cut(String),
}

/// An answer of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Body,
}

impl Answer {
    /// What it means as an answer of OTLP/HTTP.
    pub(super) fn outcome(&self, now: SystemTime) -> Outcome {
        match self.status {
            200..=299 if self.is_page() => {
                Outcome::later("a page of HTML came back, as from a portal of a network that wants a login")
            }
            200..=299 => match &self.body {
                Body::Whole(body) => taken(body),
                Body::Long => Outcome::Taken {
                    rejected: 0,
                    message: Some(format!("an answer of more than {BODY_MAX} bytes was not read")),
                },
                Body::Cut(why) => Outcome::later(format!("the connection ended inside the answer: {why}")),
            },
            429 | 502..=504 => Outcome::Later { after: self.after(now), why: self.why() },
            _ => Outcome::Refused { why: self.why() },
        }
    }

    /// What it means where gRPC was expected, and it is none.
    pub(super) fn outcome_of_grpc(&self, now: SystemTime) -> Outcome {
        match self.status {
            200..=299 if self.is_page() => self.outcome(now),
            200..=299 => Outcome::Refused {
                why: format!("expected gRPC, got {}: is this a port of OTLP/HTTP?", line(self.kind())),
            },
            _ => self.outcome(now),
        }
    }

    fn is_page(&self) -> bool {
        self.kind().get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
    }

    fn kind(&self) -> &str {
        if self.content_type.is_empty() { "no content-type" } else { &self.content_type }
    }

    /// `Retry-After`, in seconds or as a date.
    fn after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse::<u32>() {
            return Some(Duration::from_secs(seconds.into()));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }

    fn why(&self) -> String {
        let mut why = format!("HTTP status {}", self.status);
        if let Some(location) = self.location.as_deref().filter(|_| self.status / 100 == 3) {
            why.push_str(&format!(" to {}", line(location)));
        }
        let Body::Whole(body) = &self.body else { return why };
        let said = match self.kind().contains("protobuf") {
            true => status(body).map(|status| status.message).unwrap_or_default(),
            false if self.is_page() => String::new(),
            false => line(&String::from_utf8_lossy(body.get(..body.len().min(1000)).unwrap_or_default())),
        };
        if !said.is_empty() {
            why.push_str(&format!(": {said}"));
        }
        why
    }
}

/// An `ExportMetricsServiceResponse`: `partial_success = 1 { rejected_data_points = 1, error_message = 2 }`.
pub(super) fn taken(body: &[u8]) -> Outcome {
    let (mut rejected, mut message) = (0, None);
    // What can't be read tells nothing; the status said already that the request was taken.
    for (_, partial) in fields(body).flatten().filter(|(number, _)| *number == 1) {
        for field in fields(partial.bytes()).flatten() {
            match field {
                (1, Value::Number(points)) => rejected = i64::try_from(points).unwrap_or(0).unsigned_abs(),
                (2, Value::Bytes(text)) => message = Some(line(&String::from_utf8_lossy(text))),
                _ => {}
            }
        }
    }
    Outcome::Taken { rejected, message: message.filter(|message| !message.is_empty()) }
}

/// A `google.rpc.Status`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    message: String,
    retry: Option<Duration>,
}

/// `message = 2; repeated Any details = 3`, of which a `RetryInfo` says when to come again. None if it is none.
fn status(bytes: &[u8]) -> Option<Status> {
    let mut status = Status::default();
    for field in fields(bytes) {
        match field.ok()? {
            (2, Value::Bytes(text)) => status.message = line(&String::from_utf8_lossy(text)),
            (3, Value::Bytes(detail)) => status.retry = status.retry.or_else(|| retry_info(detail)),
            _ => {}
        }
    }
    Some(status)
}

/// The first field with this number; if there is none, an empty one.
fn inside(message: &[u8], wanted: u64) -> Value<'_> {
    let mut all = fields(message).flatten();
    all.find(|(number, _)| *number == wanted).map_or(Value::Bytes(&[]), |(_, value)| value)
}

/// `Any { type_url = 1, value = 2 }` around `RetryInfo { retry_delay = 1 { seconds = 1, nanos = 2 } }`.
fn retry_info(detail: &[u8]) -> Option<Duration> {
    if !inside(detail, 1).bytes().ends_with(b"/google.rpc.RetryInfo") {
        return None;
    }
    let delay = inside(inside(detail, 2).bytes(), 1).bytes();
    let seconds = inside(delay, 1).number::<u32>().unwrap_or(0);
    let nanos = inside(delay, 2).number::<u32>().filter(|nanos| *nanos < 1_000_000_000).unwrap_or(0);
    Some(Duration::new(seconds.into(), nanos))
}

/// The names of gRPC's codes.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What a status of gRPC other than OK means: its code, its words, and `grpc-status-details-bin`.
pub(super) fn refused(code: &str, message: &str, details: Option<&str>) -> Outcome {
    let number = code.parse::<usize>().unwrap_or(2);
    let name = CODES.get(number).copied().unwrap_or("UNKNOWN");
    let said = line(&String::from_utf8_lossy(&unescape(message)));
    let why = if said.is_empty() { format!("gRPC status {name}") } else { format!("gRPC status {name}: {said}") };
    let base64 = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let details = details.and_then(|details| base64.decode(details).ok());
    let after = details.and_then(|details| status(&details)).and_then(|status| status.retry);
    // What tonic says of a request over its limit. It never gets shorter, and whatever waits behind it would wait for ever.
    let is_too_long = name == "OUT_OF_RANGE" && said.contains("message length too large");
    match name {
        "CANCELLED" | "DEADLINE_EXCEEDED" | "ABORTED" | "OUT_OF_RANGE" | "UNAVAILABLE" | "DATA_LOSS"
            if !is_too_long =>
        {
            Outcome::Later { after, why }
        }
        "RESOURCE_EXHAUSTED" if after.is_some() => Outcome::Later { after, why },
        _ => Outcome::Refused { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use collectors::kit::protobuf::{put_bytes, put_number};
    use proptest::prelude::*;

    fn answer(status: u16, content_type: &str, body: &[u8]) -> Answer {
        Answer {
            status,
            content_type: content_type.to_owned(),
            retry_after: None,
            location: None,
            body: Body::Whole(body.to_vec()),
        }
    }

    fn outcome(status: u16, retry_after: &str) -> Outcome {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        Answer { retry_after: Some(retry_after.to_owned()), ..answer(status, "", b"") }.outcome(now)
    }

    #[test]
    fn what_comes_back_when_depends_on_the_status() {
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sat, 06 Nov 1993 08:49:37 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("99999999999", None),
        ] {
            let after = seconds.map(Duration::from_secs);
            for status in [429, 502, 503, 504] {
                assert_eq!(
                    outcome(status, text),
                    Outcome::Later { after, why: format!("HTTP status {status}") },
                    "{text}"
                );
            }
        }
        for status in [301, 400, 401, 404, 408, 413, 500, 501, 505] {
            assert_eq!(outcome(status, "7"), Outcome::Refused { why: format!("HTTP status {status}") });
        }
    }

    #[test]
    fn why_is_told_in_the_words_of_the_receiver() {
        let now = SystemTime::now();
        let mut status = Vec::new();
        put_number(&mut status, 1, 3);
        put_bytes(&mut status, 2, b"too\nold");
        let why = |answer: &Answer| match answer.outcome(now) {
            Outcome::Refused { why } => why,
            other => format!("{other:?}"),
        };
        assert_eq!(why(&answer(400, "application/x-protobuf", &status)), "HTTP status 400: too old");
        assert_eq!(why(&answer(400, "application/x-protobuf", b"\xff\xff")), "HTTP status 400");
        assert_eq!(why(&answer(400, "text/plain", b"out of order\n")), "HTTP status 400: out of order");
        assert_eq!(why(&answer(404, "text/html", b"<html>")), "HTTP status 404");
        let moved = Answer { location: Some("https://b/".to_owned()), ..answer(308, "", b"") };
        assert_eq!(why(&moved), "HTTP status 308 to https://b/");
        let portal = answer(200, "Text/HTML; charset=utf-8", b"<html>login");
        assert!(matches!(portal.outcome(now), Outcome::Later { after: None, .. }));
        assert_eq!(portal.outcome(now), portal.outcome_of_grpc(now));
        let other = answer(200, "application/json", b"{}").outcome_of_grpc(now);
        assert!(matches!(other, Outcome::Refused { why } if why.contains("expected gRPC, got application/json")));
    }

    #[test]
    fn points_that_were_refused_are_counted() {
        let (mut partial, mut whole) = (Vec::new(), Vec::new());
        put_number(&mut partial, 1, 3);
        put_bytes(&mut partial, 2, b"no");
        put_bytes(&mut whole, 1, &partial);
        assert_eq!(taken(&whole), Outcome::Taken { rejected: 3, message: Some("no".to_owned()) });
        let nothing = Outcome::Taken { rejected: 0, message: None };
        assert_eq!((taken(b""), taken(b"OK"), taken(b"\x0a\x00")), (nothing.clone(), nothing.clone(), nothing));
    }

    fn details(seconds: u64, nanos: u64, kind: &str) -> String {
        let (mut delay, mut info, mut any, mut status) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        put_number(&mut delay, 1, seconds);
        put_number(&mut delay, 2, nanos);
        put_bytes(&mut info, 1, &delay);
        put_bytes(&mut any, 1, format!("type.googleapis.com/google.rpc.{kind}").as_bytes());
        put_bytes(&mut any, 2, &info);
        put_bytes(&mut status, 3, &any);
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(status)
    }

    #[test]
    fn codes_of_grpc_are_as_the_specification_lists_them() {
        let later = ["1", "4", "10", "11", "14", "15"];
        for code in (1..=16).map(|code: u8| code.to_string()) {
            let is_later = matches!(refused(&code, "", None), Outcome::Later { after: None, .. });
            assert_eq!(is_later, later.contains(&code.as_str()), "{code}");
        }
        assert!(matches!(refused("99", "", None), Outcome::Refused { .. }));
        assert_eq!(
            refused("3", "bad%0Athing", None),
            Outcome::Refused { why: "gRPC status INVALID_ARGUMENT: bad thing".to_owned() }
        );
        let long = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        assert!(matches!(refused("11", long, None), Outcome::Refused { .. }));
    }

    #[test]
    fn exhausted_is_retried_only_if_it_says_when() {
        let after = |code: &str, details: &str| match refused(code, "", Some(details)) {
            Outcome::Later { after, .. } => after,
            _ => None,
        };
        let two = details(2, 500_000_000, "RetryInfo");
        assert_eq!(after("8", &two), Some(Duration::from_millis(2500)));
        assert_eq!(after("8", &format!("{two}==")).is_some(), two.len() % 4 == 2);
        assert_eq!(after("14", &two), Some(Duration::from_millis(2500)));
        assert_eq!(after("8", &details(2, 0, "DebugInfo")), None);
        assert_eq!(after("3", &two), None);
        assert_eq!(after("8", "%%%"), None);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes: Vec<u8>, code: String, text: String) {
            let _ = (taken(&bytes), status(&bytes), retry_info(&bytes), refused(&code, &text, Some(&text)));
            let _ = answer(500, "application/x-protobuf", &bytes).outcome(SystemTime::now());
        }
    }
}
