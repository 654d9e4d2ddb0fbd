//! The whole server, over real sockets.

mod http2;
mod limits;
mod pages;
mod passwords;
mod secure;
mod sharing;
mod site;
mod stop;
mod threads;
mod tls;
