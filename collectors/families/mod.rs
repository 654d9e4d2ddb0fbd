//! Families, and tables of their labels, that more than one collector puts.

pub mod cpu;
pub mod dcgm;
pub mod nfs;
