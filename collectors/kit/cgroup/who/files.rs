//! Where runtimes keep what they know of containers.

use super::json::Broken;
use super::parse::{self, Stored};
use super::{Keep, Named, Runtime};
use crate::kit::{Error, Host, Root, lock};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use std::fmt::Display;
use std::io::{self, Read};
use std::sync::Arc;

/// How large a file may be. It is read as a stream: what is long in it, such as an environment, costs time and no memory.
const FILE_MAX: u64 = 4 << 20;
/// Where containerd keeps the bundles of what runs: by itself, and as part of k3s and RKE2, MicroK8s, k0s.
const CONTAINERD: [&str; 4] =
    ["run/containerd", "run/k3s/containerd", "var/snap/microk8s/common/run/containerd", "run/k0s/containerd"];
const TASKS: &str = "io.containerd.runtime.v2.task";
/// Its namespaces that need not be looked for: the folder above them may only be listed by root.
const NAMESPACES: [&str; 3] = ["k8s.io", "default", "moby"];
/// Where Docker keeps its containers.
const DOCKER: [&str; 2] = ["var/lib/docker", "var/snap/docker/common/var-lib-docker"];
/// Where Docker is told of another place.
const DOCKER_SAYS: &str = "etc/docker/daemon.json";
/// How Podman and CRI-O may store layers; their folders are named after it.
const DRIVERS: [&str; 4] = ["overlay", "vfs", "btrfs", "zfs"];
const STORED: &str = "var/lib/containers/storage";
const STORED_RUNNING: &str = "run/containers/storage";

/// What was found in one place: nothing, perhaps for a reason.
type Found = Result<Option<Named>, Error>;

impl Host {
    /// What the files of its runtime say of a container.
    ///
    /// # Errors
    /// Why files that are there could not be read, if nothing was found.
    pub(super) fn named_by_files(&mut self, runtime: Runtime, id: &str, keep: &Keep) -> Found {
        type Place = fn(&mut Host, &str, &Keep) -> Found;
        let places: &[Place] = match runtime {
            Runtime::Containerd | Runtime::Nerdctl => &[Self::in_containerd],
            Runtime::Docker => &[Self::in_docker],
            Runtime::Crio | Runtime::Podman => &[Self::in_storage],
            Runtime::Unknown => &[Self::in_containerd, Self::in_docker, Self::in_storage],
            Runtime::Lxc | Runtime::Nspawn | Runtime::Libvirt => &[],
        };
        let mut trouble = None;
        for place in places {
            match place(self, id, keep) {
                Ok(Some(mut named)) => {
                    named.pid = named.pid.filter(|pid| self.is_of(*pid, id));
                    return Ok(Some(named));
                }
                Ok(None) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(None), Err)
    }

    fn in_containerd(&mut self, id: &str, keep: &Keep) -> Found {
        for root in CONTAINERD {
            let tasks = format!("{root}/{TASKS}");
            if !self.exists(Root::Rootfs, &tasks) {
                continue;
            }
            for namespace in NAMESPACES {
                if let Some(named) = self.in_bundle(&format!("{tasks}/{namespace}/{id}"), keep)? {
                    return Ok(Some(named));
                }
            }
            for namespace in self.names(Root::Rootfs, &tasks).unwrap_or_default() {
                if !NAMESPACES.contains(&&*namespace)
                    && let Some(named) = self.in_bundle(&format!("{tasks}/{namespace}/{id}"), keep)?
                {
                    return Ok(Some(named));
                }
            }
        }
        Ok(None)
    }

    fn in_bundle(&mut self, bundle: &str, keep: &Keep) -> Found {
        let read = self.json(format_args!("{bundle}/config.json"), |from| parse::bundle(from, keep));
        let Some(mut named) = there(read)? else { return Ok(None) };
        named.pid = self.pid(format_args!("{bundle}/init.pid"));
        Ok(Some(named))
    }

    fn in_docker(&mut self, id: &str, keep: &Keep) -> Found {
        // What is not readable, or no JSON, says nothing of where Docker is.
        let said = self.json(DOCKER_SAYS, |from| parse::data_root(from)).ok().flatten();
        let is_below = |path: &&str| !path.is_empty() && !path.split('/').any(|part| part == "..");
        let said = said.as_deref().map(|path| path.trim_matches('/')).filter(is_below);
        for root in said.into_iter().chain(DOCKER) {
            // Large disks are mounted elsewhere, and linked.
            let root = self.follow(Root::Rootfs, root)?;
            let path = format_args!("{root}/containers/{id}/config.v2.json");
            if let Some(named) = there(self.json(path, |from| parse::docker(from, keep)))? {
                return Ok(Some(named));
            }
        }
        Ok(None)
    }

    /// CRI-O writes its bundles where what runs is kept, Podman where all is; the names of Podman are in the storage's list.
    fn in_storage(&mut self, id: &str, keep: &Keep) -> Found {
        for driver in DRIVERS {
            for root in [STORED_RUNNING, STORED] {
                let path = format_args!("{root}/{driver}-containers/{id}/userdata/config.json");
                let Some(mut named) = there(self.json(path, |from| parse::bundle(from, keep)))? else { continue };
                named.pid = self.pid(format_args!("{STORED_RUNNING}/{driver}-containers/{id}/userdata/pidfile"));
                if named.name.is_empty()
                    && let Some(row) = self.stored(driver, id)?
                {
                    (named.name, named.image) = (row.name, row.image);
                }
                return Ok(Some(named));
            }
        }
        Ok(None)
    }

    /// The storage's row of a container. The list is read again when it has changed.
    fn stored(&mut self, driver: &str, id: &str) -> Result<Option<Stored>, Error> {
        let machine = Arc::clone(self.machine());
        for list in ["containers.json", "volatile-containers.json"] {
            let path = format!("{STORED}/{driver}-containers/{list}");
            let Some(stamp) = there(self.stamp(&format!("{}/{path}", machine.root(Root::Rootfs))))? else { continue };
            let of = |rows: &[Stored]| rows.iter().find(|row| row.id == id).cloned();
            let known =
                lock(&machine.names.book).storage.get(&path).filter(|(at, _)| *at == stamp).map(|(_, rows)| of(rows));
            let row = match known {
                Some(row) => row,
                None => {
                    let rows = there(self.json(&path, parse::storage))?.unwrap_or_default();
                    let row = of(&rows);
                    lock(&machine.names.book).storage.insert(path, (stamp, rows));
                    row
                }
            };
            if row.is_some() {
                return Ok(row);
            }
        }
        Ok(None)
    }

    /// The process that a file names. No process has number 0: that is what a runtime writes before there is one.
    fn pid(&mut self, path: impl Display) -> Option<u32> {
        let pid = self.number(Root::Rootfs, path).ok()?;
        u32::try_from(pid).ok().filter(|pid| *pid != 0)
    }

    fn json<T>(
        &mut self,
        path: impl Display,
        parse: impl FnOnce(&mut dyn Read) -> Result<T, Broken>,
    ) -> Result<T, Error> {
        self.resolve(Root::Rootfs, path)?;
        let file = self.open()?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.error(errno))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Error::Other { path: self.path.clone(), why: "not a regular file".to_owned() });
        }
        let parsed = parse(&mut Stream(file).take(FILE_MAX));
        parsed.map_err(|Broken| Error::malformed(&self.path, 0, "JSON of at most 4 MiB"))
    }
}

/// A file that is read from its beginning on.
struct Stream(OwnedFd);

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, into)?)
    }
}

/// What was read, or `None` if there is nothing of the name.
fn there<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_absent() => Ok(None),
        read => read.map(Some),
    }
}
