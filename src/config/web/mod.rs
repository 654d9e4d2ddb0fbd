//! The file that `--web.config.file` names, in the format of Prometheus' exporter-toolkit: TLS, headers, passwords, rate.
//!
//! What the toolkit takes and this server can't do is refused, with the line and what was expected: a configuration that
//! protects less than it says is worse than none.

mod duration;
mod rest;
mod section;
#[cfg(test)]
mod tests;
mod tls;
mod tree;

use super::{Error, file};
use crate::serve::web::{Reading, Web, WebSource};
use section::Section;
use std::path::{Path, PathBuf};

/// The file that `--web.config.file` names.
#[derive(Clone, Debug)]
pub struct WebFile(String);

impl WebFile {
    /// The file with this path. It is not read yet.
    pub fn new(path: impl Into<String>) -> Self {
        WebFile(path.into())
    }
}

impl WebSource for WebFile {
    fn read(&self) -> Reading {
        let mut files = vec![PathBuf::from(&self.0)];
        let web = file::read(&self.0).and_then(|text| parse(&self.0, &text, &mut files));
        Reading { files, web: web.map_err(|error| error.to_string()) }
    }
}

/// What the text says; the files that it names are read, and told in `files`.
fn parse(path: &str, text: &str, files: &mut Vec<PathBuf>) -> Result<Web, Error> {
    let root = tree::parse(path, text)?;
    let keys = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];
    let root = Section::new(path, "", &root, &keys)?;
    let mut web = Web { http2: true, ..Web::default() };
    if let Some(node) = root.get("tls_server_config") {
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        web.tls = tls::read(path, folder, node, files, &mut web.warnings)?;
    }
    if let Some(node) = root.get("http_server_config") {
        (web.http2, web.headers) = rest::http(path, node)?;
    }
    if let Some(node) = root.get("basic_auth_users") {
        web.users = rest::users(path, node)?;
    }
    if let Some(node) = root.get("rate_limit") {
        web.rate = rest::rate(path, node)?;
    }
    Ok(web)
}
