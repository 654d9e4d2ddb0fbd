//! Whether the sockets answer, and what would make them: for `wholenode check`.

use super::{Api, Failure, Sockets, Source, cri, docker};
use rustix::fs::{Access, AtFlags, CWD, Stat, accessat, stat};
use std::sync::Arc;

/// What was found at a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// What is spoken there.
    pub api: &'static str,
    /// Where it is.
    pub socket: String,
    /// One word: ok, absent, denied, failed.
    pub state: &'static str,
    /// What answers, or what would help.
    pub told: String,
}

/// Asks every socket once. Usual places where there is none are left out, unless there is none at all.
pub async fn probe(sockets: &Sockets, rootfs: &str) -> Vec<Probed> {
    let mut all = Vec::new();
    for api in [Api::Cri, Api::Docker] {
        let sources: Vec<Arc<Source>> =
            super::sources(sockets, rootfs).into_iter().filter(|source| source.api() == api).collect();
        let mut found = Vec::new();
        for source in &sources {
            let answer = match api {
                Api::Cri => cri::probe(source).await,
                Api::Docker => docker::probe(source).await,
            };
            if !source.place.is_usual || answer != Err(Failure::Absent) {
                found.push(probed(source, answer));
            }
        }
        if found.is_empty() && !sources.is_empty() {
            let socket = "auto".to_owned();
            let told = format!("none of the usual places has one; name it: --containers.{}-socket", api.name());
            found.push(Probed { api: api.name(), socket, state: "absent", told });
        }
        all.extend(found);
    }
    all
}

fn probed(source: &Source, answer: Result<String, Failure>) -> Probed {
    let (state, told) = match answer {
        Ok(told) => ("ok", told),
        Err(Failure::Absent) => {
            ("absent", "no such socket; is the runtime running? in a container, mount the socket's folder".to_owned())
        }
        Err(Failure::Denied) => ("denied", granting(source)),
        Err(failure) => ("failed", failure.to_string()),
    };
    Probed { api: source.api().name(), socket: source.path().to_owned(), state, told }
}

/// Who may connect: whoever may write to the socket, and enter the folders above.
fn granting(source: &Source) -> String {
    let shown = source.place.paths.iter().find_map(|path| Some((path, stat(path.as_str()).ok()?)));
    let Some((path, shown)) = shown else {
        return "a folder above it lets only others in: needs root, or CAP_DAC_OVERRIDE".to_owned();
    };
    let may_write = accessat(CWD, path.as_str(), Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    if may_write {
        return "its mode allows it: a security module (AppArmor, SELinux) refuses".to_owned();
    }
    let Stat { st_mode, st_uid, st_gid, .. } = shown;
    let by_group = match st_mode & 0o020 {
        0 => String::new(),
        _ => format!(", or the group {st_gid}"),
    };
    format!(
        "needs user {st_uid}{by_group}, or CAP_DAC_OVERRIDE; whoever may connect may also start and stop containers"
    )
}
