//! The messages of `runtime.v1` that are read, field by field by their numbers. What is not asked for is not looked at.

use super::super::{Failure, text};
use collectors::kit::protobuf::{Fields, Value, fields};
use serde::Deserialize;

/// What is no message of the runtime.
const MALFORMED: Failure = Failure::Malformed("a message of CRI");

/// How many pods or containers a list may have.
const ITEMS_MAX: usize = 20_000;

/// A name and a value.
pub(super) type Label<'a> = (&'a [u8], &'a [u8]);

/// What holds the namespaces of a pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sandbox<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a [u8],
    pub(super) uid: &'a [u8],
    pub(super) namespace: &'a [u8],
    pub(super) attempt: u32,
    item: &'a [u8],
}

/// A container of a pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Container<'a> {
    pub(super) id: &'a str,
    pub(super) sandbox: &'a str,
    pub(super) name: &'a [u8],
    pub(super) attempt: u32,
    pub(super) image: &'a [u8],
    item: &'a [u8],
}

impl<'a> Sandbox<'a> {
    /// The labels of its pod.
    pub(super) fn labels(&self) -> impl Iterator<Item = Label<'a>> + use<'a> {
        entries(self.item, 5)
    }
}

impl<'a> Container<'a> {
    /// Its labels.
    pub(super) fn labels(&self) -> impl Iterator<Item = Label<'a>> + use<'a> {
        entries(self.item, 8)
    }
}

/// What is told of a single one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) pid: Option<u32>,
    pub(super) image: String,
}

/// Hands over every field of a message.
fn each<'a>(message: &'a [u8], mut of: impl FnMut(u64, Value<'a>) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut all: Fields<'a> = fields(message);
    all.try_for_each(|field| field.map_err(|_| MALFORMED).and_then(|(number, value)| of(number, value)))
}

/// The messages in a list: its field 1, repeated. The least of them takes two bytes, and what is read of it more.
fn items<'a, T>(message: &'a [u8], of: fn(&'a [u8]) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    each(message, |number, value| {
        match number {
            1 if items.len() == ITEMS_MAX => return Err(Failure::TooLong),
            1 => items.push(of(value.bytes())?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(items)
}

/// The entries of a map that is this field of the message.
fn entries(message: &[u8], field: u64) -> impl Iterator<Item = Label<'_>> {
    let all = fields(message).map_while(Result::ok);
    all.filter(move |(number, _)| *number == field).map(|(_, value)| entry(value.bytes()))
}

/// An entry of a map: field 1 is its name, field 2 its value.
fn entry(message: &[u8]) -> Label<'_> {
    let mut label = Label::default();
    for (number, value) in fields(message).map_while(Result::ok) {
        match number {
            1 => label.0 = value.bytes(),
            2 => label.1 = value.bytes(),
            _ => {}
        }
    }
    label
}

/// Identities are plain text; one that is not is nobody's.
fn id(value: Value<'_>) -> &str {
    str::from_utf8(value.bytes()).unwrap_or_default()
}

/// `ListPodSandboxResponse`.
pub(super) fn sandboxes(message: &[u8]) -> Result<Vec<Sandbox<'_>>, Failure> {
    items(message, |item| {
        let mut sandbox = Sandbox { item, ..Sandbox::default() };
        each(item, |number, value| {
            match number {
                1 => sandbox.id = id(value),
                2 => each(value.bytes(), |number, value| {
                    match number {
                        1 => sandbox.name = value.bytes(),
                        2 => sandbox.uid = value.bytes(),
                        3 => sandbox.namespace = value.bytes(),
                        4 => sandbox.attempt = value.number().unwrap_or(0),
                        _ => {}
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(sandbox)
    })
}

/// `ListContainersResponse`.
pub(super) fn containers(message: &[u8]) -> Result<Vec<Container<'_>>, Failure> {
    items(message, |item| {
        let mut container = Container { item, ..Container::default() };
        each(item, |number, value| {
            match number {
                1 => container.id = id(value),
                2 => container.sandbox = id(value),
                3 => each(value.bytes(), |number, value| {
                    match number {
                        1 => container.name = value.bytes(),
                        2 => container.attempt = value.number().unwrap_or(0),
                        _ => {}
                    }
                    Ok(())
                })?,
                4 => container.image = image(value.bytes())?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(container)
    })
}

/// `ImageSpec`: as the user wrote it, where that is told; else as it was asked for.
fn image(message: &[u8]) -> Result<&[u8], Failure> {
    let (mut asked_for, mut written) = (&b""[..], &b""[..]);
    each(message, |number, value| {
        match number {
            1 => asked_for = value.bytes(),
            18 => written = value.bytes(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(if written.is_empty() { asked_for } else { written })
}

/// What containerd and CRI-O say in words of their own.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    pid: u32,
    image: String,
}

/// `PodSandboxStatusResponse` or `ContainerStatusResponse`.
pub(super) fn status(message: &[u8], is_sandbox: bool) -> Result<Status, Failure> {
    let mut status = Status::default();
    each(message, |number, value| {
        match number {
            // That of a pod has its annotations there.
            1 if !is_sandbox => each(value.bytes(), |number, value| {
                if number == 8 {
                    status.image = text(image(value.bytes())?);
                }
                Ok(())
            })?,
            2 => {
                let (name, words) = entry(value.bytes());
                if name == b"info"
                    && let Ok(info) = serde_json::from_slice::<Info>(words)
                {
                    status.pid = (info.pid != 0).then_some(info.pid);
                    status.image = text(info.image.as_bytes());
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(status)
}

/// `VersionResponse`: the runtime's name and version.
pub(super) fn version(message: &[u8]) -> Result<String, Failure> {
    let (mut name, mut version) = (String::new(), String::new());
    each(message, |number, value| {
        match number {
            2 => name = text(value.bytes()),
            3 => version = text(value.bytes()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(format!("{name} {version}"))
}

#[cfg(test)]
mod tests;
