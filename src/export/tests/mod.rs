//! Pushing in simulated time, to a receiver that plays a script.

mod outages;
mod receivers;
mod script;
