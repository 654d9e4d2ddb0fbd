//! What collectors stand on: the door to the machine, pure parsers, errors, options.

pub mod attribute;
mod btrfs;
pub mod bus;
mod calls;
pub mod cgroup;
pub mod child;
mod clock;
mod error;
mod ethtool;
pub mod exposition;
#[doc(hidden)]
pub mod fuzz;
mod glob;
mod handles;
mod host;
mod itself;
pub mod jetson;
mod layer;
mod machine;
pub mod mounts;
pub mod netlink;
mod options;
mod os_release;
pub mod parse;
mod perf;
pub mod protobuf;
mod rights;
mod stamp;
mod statfs;
mod sys;
#[cfg(test)]
pub(crate) mod testing;
mod timex;
mod walk;
mod walker;

pub use btrfs::{Btrfs, Device};
pub use calls::{Replay, StatFs, Uname};
pub use child::{Child, Mount, Question};
pub use clock::{Clock, Script, lock};
pub use error::Error;
pub use ethtool::{Driver, Link, Recorded};
pub use glob::Glob;
pub use handles::raise_open_files;
pub use host::{Host, KeptFile, Watched};
pub use itself::{Figures, Itself};
pub use layer::{Quota, Usage};
pub use machine::{Machine, Root, Roots};
pub use options::{Filter, Opt, OptKind, Options, span};
pub use perf::{PerfCounter, PerfEvent};
pub use rights::{Rights, raise_capabilities};
pub use stamp::Stamp;
pub use sys::{forget_start, share_heap};
pub use timex::Timex;
pub use walk::Walked;
pub use walker::{Walker, Want};
