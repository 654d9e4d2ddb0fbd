//! What the files of runtimes say of a container.

use super::json::{Broken, Json};
use super::{Keep, Named};
use std::io::Read;
use std::time::Duration;

/// `{"annotations":{"io.kubernetes.cri.sandbox-name":"shop-0", …}, …}`: the bundle that a runtime is given, of
/// containerd, CRI-O and Podman; of all else in it, nothing is kept.
pub(super) fn bundle(from: &mut dyn Read, keep: &Keep) -> Result<Named, Broken> {
    let mut named = Named::default();
    Json::new(from).object(&mut |json, name| match name {
        "annotations" => json.object(&mut |json, name| annotation(&mut named, json, name, keep)),
        _ => json.skip(),
    })?;
    Ok(named)
}

fn annotation(named: &mut Named, json: &mut Json<'_>, name: &str, keep: &Keep) -> Result<(), Broken> {
    match name {
        "io.kubernetes.cri-o.Labels" => json.inside(&mut |json, name| label(named, json, name, keep)),
        "io.kubernetes.cri-o.Metadata" => json.inside(&mut |json, name| {
            if name != "attempt" {
                return json.skip();
            }
            named.attempt = json.number()?.or(named.attempt);
            Ok(())
        }),
        _ => label(named, json, name, keep),
    }
}

/// A label or annotation: what Kubernetes and the runtimes say of it, and what the operator wants to see.
fn label(named: &mut Named, json: &mut Json<'_>, name: &str, keep: &Keep) -> Result<(), Broken> {
    let Named { image, namespace, pod, pod_uid, container, .. } = named;
    let place = match name {
        "io.kubernetes.cri.sandbox-name" | "io.kubernetes.pod.name" => Some(pod),
        "io.kubernetes.cri.sandbox-namespace" | "io.kubernetes.pod.namespace" => Some(namespace),
        "io.kubernetes.cri.sandbox-uid" | "io.kubernetes.pod.uid" => Some(pod_uid),
        "io.kubernetes.cri.container-name" | "io.kubernetes.container.name" => Some(container),
        "io.kubernetes.cri.image-name" | "io.kubernetes.cri-o.ImageName" => Some(image),
        // Since containerd 2, of sandboxes.
        "io.kubernetes.cri.podsandbox.image-name" => Some(image),
        "io.kubernetes.cri-o.Name" | "nerdctl/name" => Some(&mut named.name),
        _ => None,
    };
    let says = matches!(
        name,
        "io.kubernetes.cri.container-type"
            | "io.kubernetes.cri-o.ContainerType"
            | "io.kubernetes.cri-o.Created"
            | "io.kubernetes.docker.type"
            | "io.kubernetes.container.restartCount"
            | "annotation.io.kubernetes.container.restartCount"
    );
    if place.is_none() && !says && !keep.passes(name) {
        return json.skip();
    }
    let Some(text) = json.text()? else { return Ok(()) };
    if keep.passes(name) {
        keep.put(&mut named.labels, name, &text);
    }
    match place {
        Some(place) => *place = text,
        None if !says => {}
        None if name.ends_with("Created") => named.created = rfc3339(&text),
        None if name.ends_with("restartCount") => named.attempt = text.parse().ok().or(named.attempt),
        None => named.is_sandbox = matches!(text.as_str(), "sandbox" | "podsandbox"),
    }
    Ok(())
}

/// `{"Name":"/web","State":{"Pid":4711},"Config":{"Image":"nginx","Labels":{…}},"RestartCount":2, …}`: what Docker keeps of a container.
pub(super) fn docker(from: &mut dyn Read, keep: &Keep) -> Result<Named, Broken> {
    let mut named = Named::default();
    let mut restarts = None;
    Json::new(from).object(&mut |json, name| match name {
        "Name" => {
            let text = json.text()?.unwrap_or_default();
            text.trim_start_matches('/').clone_into(&mut named.name);
            Ok(())
        }
        "Created" => {
            named.created = json.text()?.and_then(|text| rfc3339(&text));
            Ok(())
        }
        "RestartCount" => {
            restarts = json.number()?;
            Ok(())
        }
        "State" => json.object(&mut |json, name| {
            if name != "Pid" {
                return json.skip();
            }
            named.pid = json.number()?.filter(|pid| *pid != 0);
            Ok(())
        }),
        "Config" => json.object(&mut |json, name| match name {
            "Image" => {
                named.image = json.text()?.unwrap_or_default();
                Ok(())
            }
            "Labels" => json.object(&mut |json, name| label(&mut named, json, name, keep)),
            _ => json.skip(),
        }),
        _ => json.skip(),
    })?;
    named.attempt = named.attempt.or(restarts);
    Ok(named)
}

/// `{"data-root":"/data/docker", …}`: where Docker keeps everything, if it is told so; "graph" before Docker 17.05.
pub(super) fn data_root(from: &mut dyn Read) -> Result<Option<String>, Broken> {
    let mut root = None;
    Json::new(from).object(&mut |json, name| match name {
        "data-root" | "graph" => {
            root = json.text()?.or(root.take());
            Ok(())
        }
        _ => json.skip(),
    })?;
    Ok(root)
}

/// `2026-11-25T23:09:59.25+01:00`, since 1970. A runtime that tells of no time tells of the year 1.
fn rfc3339(text: &str) -> Option<Duration> {
    let number = |from: usize, length: usize| {
        let digits = text.get(from..from + length)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i64>().ok()).flatten()
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    marks.iter().all(|(at, mark)| text.as_bytes().get(*at) == Some(mark)).then_some(())?;
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let rest = text.get(19..)?;
    let zone = rest.find(['Z', '+', '-'])?;
    let nanos = match rest.get(..zone)?.strip_prefix('.') {
        Some(digits) => format!("{digits:0<9}").get(..9)?.parse().ok()?,
        None if zone == 0 => 0,
        None => return None,
    };
    let offset = match rest.get(zone..)? {
        "Z" => 0,
        zone => {
            let at = text.len() - zone.len();
            let minutes = number(at + 1, 2)? * 60 + number(at + 4, 2)?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    // Years begin in March here, so that a leap day is the last one.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

/// A row of the storage that Podman and CRI-O share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
}

/// `[{"id":"9304…","names":["web"],"metadata":"{\"image-name\":\"localhost/web:1\", …}", …}, …]`: the containers of the storage.
pub(super) fn storage(from: &mut dyn Read) -> Result<Vec<Stored>, Broken> {
    const ROWS_MAX: usize = 10_000;
    let mut rows = Vec::new();
    let mut member = |json: &mut Json<'_>, name: &str, row: &mut Stored| {
        match name {
            "id" => row.id = json.text()?.unwrap_or_default(),
            "names" => row.name = json.first()?.unwrap_or_default(),
            "metadata" => json.inside(&mut |json, name| {
                if name != "image-name" {
                    return json.skip();
                }
                row.image = json.text()?.unwrap_or_default();
                Ok(())
            })?,
            _ => json.skip()?,
        }
        Ok(())
    };
    Json::new(from).rows(&mut member, &mut |row: Stored| {
        if rows.len() < ROWS_MAX && !row.id.is_empty() {
            rows.push(row);
        }
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests;
