//! The map of the house.
//!
//! wholenode is one binary that tells everything a machine can say about itself. Data flows one way:
//!
//! ```text
//! kernel files → collectors → Batch → engine → Snapshot → encode → serve, export
//! ```
//!
//! - `collectors/` is a package of its own: what is read from the machine, one file per collector. It knows the kernel
//!   (through `kit::Host`, the only door to the machine) and the model, and no format, no thread, no client.
//! - [`config`]: what the user wrote → one checked configuration. Nothing else reads the environment.
//! - [`engine`]: which collector runs when and where, and who waits for whom. A collector that hangs costs only itself.
//! - [`sources`]: what only a daemon of somebody else's can tell, asked in the background: who a container is.
//! - [`encode`]: a snapshot → bytes. Pure.
//! - [`export`]: OTLP. What can't be sent now waits, and is dated when it is sent.
//! - [`serve`]: HTTP. Nothing a client does or leaves undone holds anything for long.
//! - [`page`]: engine and encoder, as the pages that `serve` and `wholenode once` give out.
//! - [`check`]: what the engine found, for somebody at a terminal.
//! - [`daemon`]: all of it together, until a signal ends it.
//!
//! No arrow points back: a collector can't see this crate, an encoder sees only the model, the engine knows no client.

pub mod check;
pub mod config;
pub mod daemon;
pub mod encode;
pub mod engine;
pub mod export;
pub mod log;
pub mod page;
pub mod serve;
pub mod sources;
