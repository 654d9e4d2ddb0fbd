//! What is measured.

use std::borrow::Cow;
use std::sync::Arc;

/// How the points of a family behave over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until what it counts starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// The source does not say.
    Untyped,
    /// Observations counted in buckets.
    Histogram,
    /// Observations with quantiles judged by the source.
    Summary,
}

impl Kind {
    /// What the lines of such a family have behind its name, besides nothing: no other family may be called so.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Summary => &["_sum", "_count"],
            Kind::Counter | Kind::Gauge | Kind::Untyped => &[],
        }
    }
}

/// What is measured: a name, its meaning, how it behaves.
///
/// Families that the code knows are `static`; those that the kernel or a user's file names at run time are
/// `Arc<Family>`, made once and kept by their collector.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The full name on the page, `_total` included.
    pub name: Cow<'static, str>,
    /// One sentence with the unit's meaning and the source.
    pub help: Cow<'static, str>,
    /// How its points behave.
    pub kind: Kind,
    /// The label names its points may carry, for the reference; empty for families named at run time.
    pub labels: &'static [&'static str],
    /// What it is by OpenTelemetry's conventions, where these have it and somebody has written it down.
    pub semconv: Option<&'static Semconv>,
}

/// The form of a family by OpenTelemetry's semantic conventions.
#[derive(Debug, PartialEq, Eq)]
pub struct Semconv {
    /// The name of the metric: `system.cpu.time`.
    pub name: &'static str,
    /// Its unit: `s`, `By`, `1`.
    pub unit: &'static str,
    /// What figures are multiplied with and divided by.
    pub scale: (u64, u64),
    /// Attributes that all its points have besides their labels.
    pub attributes: &'static [(&'static str, &'static str)],
    /// Labels, and what they are called as attributes.
    pub renames: &'static [(&'static str, &'static str)],
    /// Values of labels, and what they are there.
    pub values: &'static [(&'static str, &'static str)],
}

impl Family {
    /// A family whose name is known only at run time.
    pub fn at_run_time(name: String, help: String, kind: Kind) -> Arc<Self> {
        Arc::new(Self { name: Cow::Owned(name), help: Cow::Owned(help), kind, labels: &[], semconv: None })
    }
}

const fn family(name: &'static str, help: &'static str, kind: Kind, labels: &'static [&'static str]) -> Family {
    Family { name: Cow::Borrowed(name), help: Cow::Borrowed(help), kind, labels, semconv: None }
}

/// A family that only grows.
pub const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    family(name, help, Kind::Counter, labels)
}

/// A family that goes up and down.
pub const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    family(name, help, Kind::Gauge, labels)
}

/// A family of which the source does not say how it behaves.
pub const fn untyped(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    family(name, help, Kind::Untyped, labels)
}

/// A family as a batch holds it: borrowed for ever, or shared.
#[derive(Clone, Debug)]
pub enum FamilyRef {
    /// Known to the code.
    Static(&'static Family),
    /// Named at run time.
    Shared(Arc<Family>),
}

impl FamilyRef {
    pub(crate) fn is(&self, family: &Family) -> bool {
        std::ptr::eq::<Family>(&**self, family)
    }
}

impl std::ops::Deref for FamilyRef {
    type Target = Family;

    fn deref(&self) -> &Family {
        match self {
            FamilyRef::Static(family) => family,
            FamilyRef::Shared(family) => family,
        }
    }
}

impl From<&'static Family> for FamilyRef {
    fn from(family: &'static Family) -> Self {
        FamilyRef::Static(family)
    }
}

impl From<&Arc<Family>> for FamilyRef {
    fn from(family: &Arc<Family>) -> Self {
        FamilyRef::Shared(Arc::clone(family))
    }
}
