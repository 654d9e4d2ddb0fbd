//! What only the whole program, or the whole house, can show.

mod golden;
mod linked;
mod tidy;
