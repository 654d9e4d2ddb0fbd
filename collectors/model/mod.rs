//! What is said about the machine, in no particular format.
//!
//! A [`Family`] is what is measured, an [`Entity`] is of whom, a [`Value`] is how much. A [`Batch`] is one collector's
//! round, in columns; a [`Snapshot`] is the newest batch of every collector, merged family by family. The encoders read
//! snapshots and nothing else.

mod batch;
mod family;
mod labels;
mod snapshot;
mod value;

pub use batch::{Batch, Column, POINTS_MAX, Sample};
pub use family::{Family, FamilyRef, Kind, Semconv, counter, gauge, untyped};
pub use labels::{Entity, Labels};
pub use snapshot::{Group, Layout, Loss, Part, Snapshot};
pub use value::{Distribution, Value};
