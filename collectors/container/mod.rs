//! Containers, pods and system services, under cAdvisor's names.

pub mod containers;
pub mod machine;
pub mod volumes;
