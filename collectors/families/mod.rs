//! Families that more than one collector puts.

pub mod cpu;
