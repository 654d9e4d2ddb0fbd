//! The whole server, over real sockets.

mod limits;
mod pages;
mod sharing;
mod site;
mod stop;
mod threads;
