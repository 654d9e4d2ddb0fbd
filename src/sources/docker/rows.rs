//! What is read of Docker's answers. Fields that are not named here are skipped, and may be anything.

use super::super::Failure;
use collectors::kit::cgroup::Health;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::collections::BTreeMap;
use std::fmt;

/// How many containers a list may have.
const ROWS_MAX: usize = 20_000;

/// A container in the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Row {
    pub(super) id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    status: Option<String>,
    health: Option<Probe>,
}

/// What a probe says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Probe {
    status: String,
}

static NONE: BTreeMap<String, String> = BTreeMap::new();

impl Row {
    /// `/web`, and not the alias that a link gives it: `/shop/db`.
    pub(super) fn name(&self) -> &str {
        let mut names = self.names.iter().flatten().filter_map(|name| name.strip_prefix('/').or(Some(name)));
        names.find(|name| !name.contains('/')).unwrap_or_default()
    }

    pub(super) fn image(&self) -> &str {
        self.image.as_deref().unwrap_or_default()
    }

    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.as_ref().unwrap_or(&NONE)
    }

    /// A field of its own from version 1.52 of the API on, before that in the text: `Up 2 hours (healthy)`.
    pub(super) fn health(&self) -> Option<Health> {
        if let Some(health) = &self.health {
            return Some(match health.status.as_str() {
                "healthy" => Health::Healthy,
                "unhealthy" => Health::Unhealthy,
                "starting" => Health::Starting,
                _ => Health::NotProbed,
            });
        }
        let status = self.status.as_deref()?;
        Some(match status.rsplit_once(" (").map_or("", |(_, word)| word) {
            "healthy)" => Health::Healthy,
            "unhealthy)" => Health::Unhealthy,
            "health: starting)" | "starting)" => Health::Starting,
            _ => Health::NotProbed,
        })
    }
}

/// Reads a list, row by row.
pub(super) fn list(text: &[u8], of: impl FnMut(Row)) -> Result<(), Failure> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = reader.deserialize_seq(Rows(of));
    read.and_then(|()| reader.end()).map_err(|_| Failure::Malformed("a list of containers in JSON"))
}

struct Rows<F>(F);

impl<'de, F: FnMut(Row)> Visitor<'de> for Rows<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of containers")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut rows: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(row) = rows.next_element()? {
            count += 1;
            if count > ROWS_MAX {
                return Err(de::Error::custom("too many"));
            }
            (self.0)(row);
        }
        Ok(())
    }
}

/// What is told of one container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Inspected {
    restart_count: Option<u32>,
    state: Option<State>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct State {
    pid: u32,
}

impl Inspected {
    /// Reads an answer; nothing if there was nothing.
    pub(super) fn read(text: &[u8]) -> Result<Option<Self>, Failure> {
        let read = (!text.is_empty()).then(|| serde_json::from_slice(text));
        read.transpose().map_err(|_| Failure::Malformed("a container in JSON"))
    }

    /// Its first process; 0 is none.
    pub(super) fn pid(&self) -> Option<u32> {
        self.state.as_ref().map(|state| state.pid).filter(|pid| *pid != 0)
    }

    pub(super) fn restarts(&self) -> Option<u32> {
        self.restart_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        list(text.as_bytes(), |row| rows.push(row)).map(|()| rows)
    }

    #[test]
    fn a_container_has_its_own_name_labels_and_health() {
        let text = r#"[{"Id": "ab", "Names": ["/shop/db", "/web"], "Image": "nginx:1", "Labels": {"a": "b"},
            "State": "running", "Status": "Up 2 hours (unhealthy)", "Ports": [{"PrivatePort": 80}]},
            {"Id": "cd", "Names": null, "Labels": null, "Status": "Up 1 second"}, {}]"#;
        let rows = rows(text).unwrap();
        let told = |row: &Row| (row.name().to_owned(), row.image().to_owned(), row.labels().len(), row.health());
        assert_eq!(told(&rows[0]), ("web".to_owned(), "nginx:1".to_owned(), 1, Some(Health::Unhealthy)));
        assert_eq!(told(&rows[1]), (String::new(), String::new(), 0, Some(Health::NotProbed)));
        assert_eq!(told(&rows[2]), (String::new(), String::new(), 0, None));
    }

    #[test]
    fn health_is_told_in_two_ways() {
        let health = |text: &str| rows(&format!("[{{{text}}}]")).unwrap()[0].health();
        for (word, expected) in [
            ("healthy", Health::Healthy),
            ("unhealthy", Health::Unhealthy),
            ("starting", Health::Starting),
            ("none", Health::NotProbed),
        ] {
            assert_eq!(health(&format!(r#""Health": {{"Status": "{word}"}}, "Status": "Up 1 hour""#)), Some(expected));
        }
        assert_eq!(health(r#""Status": "Up 3 days (healthy)""#), Some(Health::Healthy));
        assert_eq!(health(r#""Status": "Up 3 days (health: starting)""#), Some(Health::Starting));
        assert_eq!(health(r#""Status": "Up 3 days (Paused)""#), Some(Health::NotProbed));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let wrong = Failure::Malformed("a list of containers in JSON");
        for text in ["", "{}", "[", "[{}] x", "[1]", r#"[{"Id": 1}]"#, r#"{"message": "no"}"#, &"[".repeat(100_000)] {
            assert_eq!(rows(text).unwrap_err(), wrong, "{text:.20}");
        }
        assert!(list(format!("[{}{{}}]", "{},".repeat(ROWS_MAX)).as_bytes(), drop).is_err());
    }

    #[test]
    fn the_first_process_is_never_0() {
        let read = |text: &str| Inspected::read(text.as_bytes());
        let one = read(r#"{"RestartCount": 2, "State": {"Pid": 42, "Health": null}}"#).unwrap().unwrap();
        assert_eq!((one.pid(), one.restarts()), (Some(42), Some(2)));
        let none = read(r#"{"State": {"Pid": 0}}"#).unwrap().unwrap();
        assert_eq!((none.pid(), none.restarts()), (None, None));
        assert!(read("").unwrap().is_none() && read("no").is_err() && read(r#"{"State": {"Pid": -1}}"#).is_err());
    }

    proptest! {
        #[test]
        fn nothing_that_is_answered_does_harm(text: String) {
            let _ = (list(text.as_bytes(), drop), Inspected::read(text.as_bytes()));
        }
    }
}
