//! `tls_server_config`.

use super::super::{Error, file};
use super::section::{Section, Text};
use super::tree::Node;
use crate::serve::web::{ClientAuth, Pem, Tls};
use std::path::{Path, PathBuf};

const KEYS: &[&str] = &[
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// Go's names of the policies; `RequireClientCert` is an old one.
const AUTHS: &[(&str, ClientAuth)] = &[
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ("RequireClientCert", ClientAuth::RequireAny),
];

/// What can be done with a name of Go's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It has this number here.
    Here(u16),
    /// It is always on with TLS 1.3, as it is in Go.
    Always,
    /// Go can do it.
    NotHere,
}

/// The suites that Go counts as secure; the toolkit takes no others.
const SUITES: &[(&str, Known)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Known::Here(0xc02b)),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Known::Here(0xc02c)),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Known::Here(0xc02f)),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Known::Here(0xc030)),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Known::Here(0xcca9)),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Known::Here(0xcca8)),
    ("TLS_AES_128_GCM_SHA256", Known::Always),
    ("TLS_AES_256_GCM_SHA384", Known::Always),
    ("TLS_CHACHA20_POLY1305_SHA256", Known::Always),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", Known::NotHere),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", Known::NotHere),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", Known::NotHere),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", Known::NotHere),
];

const CURVES: &[(&str, Known)] = &[
    ("X25519", Known::Here(29)),
    ("CurveP256", Known::Here(23)),
    ("CurveP384", Known::Here(24)),
    ("CurveP521", Known::NotHere),
];

/// TLS as it is to be spoken; none if nothing asks for it.
pub(super) fn read(
    path: &str,
    folder: &Path,
    node: &Node,
    files: &mut Vec<PathBuf>,
    warnings: &mut Vec<String>,
) -> Result<Option<Tls>, Error> {
    let section = Section::new(path, "tls_server_config", node, KEYS)?;
    let (clients, auth) = auth(&section)?;
    let (tls12, tls13) = versions(&section)?;
    let suites = choice(&section, "cipher_suites", SUITES, warnings)?;
    let groups = choice(&section, "curve_preferences", CURVES, warnings)?;
    let server_order = section.flag("prefer_server_cipher_suites", true)?;
    let mut pems = Pems { path, folder, section: &section, files };
    let (certificate, key) = (pems.read("cert")?, pems.read("key")?);
    let client_ca = pems.read("client_ca")?;
    let client_names = client_names(&section)?;
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if client_ca.is_none() && auth.is_none() => {
            return match section.entries().next() {
                // The toolkit would serve without TLS then.
                Some(first) => Err(section.fail(first.line, "", "expected cert_file and key_file, or cert and key")),
                None => Ok(None),
            };
        }
        (None, _) => return Err(section.fail(node.line, "", "expected cert_file or cert")),
        (_, None) => return Err(section.fail(node.line, "", "expected key_file or key")),
    };
    check_clients(&section, node.line, clients, client_ca.as_ref(), client_names.as_deref(), warnings)?;
    let only13 = suites.as_ref().is_some_and(Vec::is_empty);
    if only13 && !tls13 {
        let line = section.get("cipher_suites").map_or(node.line, |node| node.line);
        return Err(section.fail(line, "cipher_suites", "expected a suite of TLS 1.2, as max_version is TLS12"));
    }
    let tls12 = tls12 && !only13;
    Ok(Some(Tls { certificate, key, clients, client_ca, client_names, tls12, tls13, suites, groups, server_order }))
}

fn auth<'a>(section: &Section<'a>) -> Result<(ClientAuth, Option<Text<'a>>), Error> {
    let key = "client_auth_type";
    let Some(text) = section.text(key)? else { return Ok((ClientAuth::None, None)) };
    match AUTHS.iter().find(|(name, _)| *name == text.text) {
        Some((_, auth)) => Ok((*auth, Some(text))),
        None => {
            let names: Vec<&str> = AUTHS.iter().map(|(name, _)| *name).collect();
            Err(section.fail(text.line, key, &format!("\"{}\": expected {}", text.text, names.join(", "))))
        }
    }
}

/// Whether TLS 1.2 and TLS 1.3 are spoken.
fn versions(section: &Section) -> Result<(bool, bool), Error> {
    let version = |key: &str, default: u8| {
        let Some(text) = section.text(key)? else { return Ok((default, 0)) };
        match text.text {
            "TLS12" => Ok((12, text.line)),
            "TLS13" => Ok((13, text.line)),
            "TLS10" | "TLS11" => {
                let why = format!("\"{}\": expected TLS12 or TLS13; older versions are not safe any more", text.text);
                Err(section.fail(text.line, key, &why))
            }
            other => Err(section.fail(text.line, key, &format!("\"{other}\": expected TLS12 or TLS13"))),
        }
    };
    let ((least, line), (most, _)) = (version("min_version", 12)?, version("max_version", 13)?);
    if least > most {
        return Err(section.fail(line, "min_version", "TLS13: expected no more than max_version, which is TLS12"));
    }
    Ok((least == 12, most == 13))
}

/// The numbers of what is named and can be done; none if nothing is named.
fn choice(
    section: &Section,
    key: &str,
    all: &[(&str, Known)],
    warnings: &mut Vec<String>,
) -> Result<Option<Vec<u16>>, Error> {
    let Some((texts, line)) = section.list(key)? else { return Ok(None) };
    let (mut numbers, mut not_here, mut always) = (Vec::new(), Vec::new(), 0);
    for text in &texts {
        match all.iter().find(|(name, _)| *name == text.text) {
            Some((_, Known::Here(number))) => numbers.push(*number),
            Some((_, Known::Always)) => always += 1,
            Some((name, Known::NotHere)) => not_here.push(*name),
            None => {
                let can = names_here(all);
                return Err(section.fail(text.line, key, &format!("\"{}\": expected some of {can}", text.text)));
            }
        }
    }
    if not_here.is_empty() {
        return Ok((!texts.is_empty()).then_some(numbers));
    }
    let told = not_here.join(", ");
    if numbers.is_empty() && always == 0 {
        let can = names_here(all);
        return Err(section.fail(line, key, &format!("{told}: not to be had here; expected some of {can}")));
    }
    let warning = section.fail(line, key, &format!("{told}: not to be had here; the others are offered"));
    warnings.push(warning.to_string());
    Ok(Some(numbers))
}

fn names_here(all: &[(&str, Known)]) -> String {
    let here = all.iter().filter(|(_, known)| *known != Known::NotHere);
    here.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn client_names(section: &Section) -> Result<Option<Vec<String>>, Error> {
    let key = "client_allowed_sans";
    let Some((texts, line)) = section.list(key)? else { return Ok(None) };
    if texts.is_empty() {
        return Err(section.fail(line, key, "expected at least one name, or nobody can connect"));
    }
    Ok(Some(texts.iter().map(|text| text.text.to_owned()).collect()))
}

/// What would protect less than it says is refused.
fn check_clients(
    section: &Section,
    line: usize,
    auth: ClientAuth,
    ca: Option<&Pem>,
    names: Option<&[String]>,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let at = |key: &str| section.get(key).map_or(line, |node| node.line);
    let line = ["client_ca_file", "client_ca"].iter().find_map(|key| section.get(key)).map_or(line, |node| node.line);
    match auth {
        ClientAuth::None if ca.is_some() => {
            Err(section.fail(line, "", "a client_ca needs a client_auth_type: expected RequireAndVerifyClientCert"))
        }
        ClientAuth::None if names.is_some() => {
            let key = "client_allowed_sans";
            Err(section.fail(
                at(key),
                key,
                "without certificates of clients: expected a client_auth_type that asks for them",
            ))
        }
        ClientAuth::RequireAndVerify if ca.is_none() => {
            let why = "RequireAndVerifyClientCert: expected client_ca_file or client_ca beside it";
            Err(section.fail(at("client_auth_type"), "client_auth_type", why))
        }
        ClientAuth::VerifyIfGiven if ca.is_none() => {
            let why = "VerifyClientCertIfGiven without a client_ca: whoever shows a certificate is refused";
            warnings.push(section.fail(at("client_auth_type"), "client_auth_type", why).to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What is given as a file or in the configuration itself.
struct Pems<'a> {
    path: &'a str,
    folder: &'a Path,
    section: &'a Section<'a>,
    files: &'a mut Vec<PathBuf>,
}

impl Pems<'_> {
    /// The file counts, where both are given.
    fn read(&mut self, key: &str) -> Result<Option<Pem>, Error> {
        let file_key = format!("{key}_file");
        if let Some(named) = self.section.text(&file_key)? {
            let path = self.folder.join(named.text);
            self.files.push(path.clone());
            let path = path.to_string_lossy().into_owned();
            let text = file::bytes(&path);
            let text = text.map_err(|error| self.section.fail(named.line, &file_key, &error.to_string()))?;
            return Ok(Some(Pem { text, from: path }));
        }
        let inline = self.section.text(key)?;
        let from = |line| format!("{}:{line}: tls_server_config.{key}", self.path);
        Ok(inline.map(|inline| Pem { text: inline.text.as_bytes().to_vec(), from: from(inline.line) }))
    }
}
