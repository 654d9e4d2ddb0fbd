//! OTLP: what is pushed, when, and over what.
//!
//! `rounds` asks the engine at the moments that `schedule` says and has the answer encoded, once for each endpoint. An
//! endpoint's `pusher` sends the newest round from its `mailbox` over the `transport`; what can't be sent goes to the
//! `spool`, by way of its `keeper`, until the receiver is back. Requests are dated when they are sent. Nothing of it runs
//! unless there is an endpoint, and nobody waits for it.

pub(crate) mod endpoint;
mod exporter;
mod figures;
mod keeper;
mod mailbox;
mod once;
mod pusher;
mod resource;
mod retry;
mod rounds;
mod schedule;
pub mod spool;
#[cfg(test)]
mod tests;
pub mod time;
mod times;
mod told;
mod transport;

pub(crate) use exporter::Exporter;
pub(crate) use figures::FAMILIES;
pub(crate) use once::push;
