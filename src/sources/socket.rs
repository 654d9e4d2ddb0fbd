//! Where the sockets of container runtimes are.

use rustix::net::SocketAddrUnix;
use std::fmt;
use std::str::FromStr;

/// What is spoken over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The Container Runtime Interface of Kubernetes, version 1: containerd, CRI-O, cri-dockerd.
    Cri,
    /// Docker's own; Podman has it too.
    Docker,
}

impl Api {
    /// Its word in labels and reports.
    pub fn name(self) -> &'static str {
        match self {
            Api::Cri => "cri",
            Api::Docker => "docker",
        }
    }

    /// Where its sockets usually are.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Api::Cri => &[
                "/run/containerd/containerd.sock",
                "/run/crio/crio.sock",
                "/run/k3s/containerd/containerd.sock",
                "/run/k0s/containerd.sock",
                "/run/cri-dockerd.sock",
                "/var/snap/microk8s/common/run/containerd.sock",
            ],
            // Not Podman's: to connect to it starts Podman, which one may not want.
            Api::Docker => &["/run/docker.sock"],
        }
    }
}

/// A socket, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// Wherever one usually is.
    Auto,
    /// The one of this path.
    At(String),
}

impl FromStr for Socket {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "auto" {
            return Ok(Socket::Auto);
        }
        let path = word.strip_prefix("unix:").unwrap_or(word);
        let path = path.strip_prefix("//").unwrap_or(path);
        match path.starts_with('/') && SocketAddrUnix::new(path).is_ok() {
            true => Ok(Socket::At(path.to_owned())),
            false => Err(format!("\"{word}\": expected unix:///PATH of at most 107 bytes, or auto")),
        }
    }
}

/// The sockets that may be asked; none unless the operator names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Those that speak CRI.
    pub cri: Vec<Socket>,
    /// Those that speak Docker's API.
    pub docker: Vec<Socket>,
}

/// One socket that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) api: Api,
    /// Where it is: the first of these that is there.
    pub(super) paths: Vec<String>,
    /// Nobody named it: that it is not there is no news.
    pub(super) is_usual: bool,
}

impl Place {
    /// Its name for people.
    pub(super) fn name(&self) -> &str {
        self.paths.last().map_or("", String::as_str)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Sockets {
    /// All that are to be asked. A path that was written is one of this process's own; the usual ones are looked for below
    /// the machine's `/` first.
    pub(super) fn places(&self, rootfs: &str) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for (api, sockets) in [(Api::Cri, &self.cri), (Api::Docker, &self.docker)] {
            let named = sockets.iter().filter_map(|socket| match socket {
                Socket::At(path) => Some(Place { api, paths: vec![path.clone()], is_usual: false }),
                Socket::Auto => None,
            });
            let usual = api.usual().iter().filter(|_| sockets.contains(&Socket::Auto)).map(|path| {
                let below = format!("{rootfs}{path}");
                let paths = if rootfs.is_empty() { vec![below] } else { vec![below, (*path).to_owned()] };
                Place { api, paths, is_usual: true }
            });
            for place in named.chain(usual) {
                if !places.iter().any(|known| known.api == api && known.name() == place.name()) {
                    places.push(place);
                }
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_written_in_three_ways() {
        for word in ["unix:///run/x.sock", "unix:/run/x.sock", "/run/x.sock"] {
            assert_eq!(word.parse(), Ok(Socket::At("/run/x.sock".to_owned())));
        }
        assert_eq!("auto".parse(), Ok(Socket::Auto));
        let long = format!("/{}", "x".repeat(108));
        for word in ["run/x.sock", "tcp://1.2.3.4:2375", "http://x", "unix:", "unix://", "AUTO", "/a\0b", &long] {
            assert!(word.parse::<Socket>().unwrap_err().contains("expected unix:///PATH"), "{word}");
        }
    }

    #[test]
    fn the_usual_ones_are_looked_for_in_the_machine_first_and_none_is_asked_twice() {
        let sockets = Sockets { cri: vec![], docker: vec!["/run/docker.sock".parse().unwrap(), Socket::Auto] };
        let places = sockets.places("/host");
        assert_eq!(places.len(), 1);
        assert!(!places[0].is_usual && places[0].paths == ["/run/docker.sock"]);
        let sockets = Sockets { cri: vec![Socket::Auto], docker: vec![] };
        let places = sockets.places("/host");
        assert_eq!(places.len(), Api::Cri.usual().len());
        assert_eq!(places[0].paths, ["/host/run/containerd/containerd.sock", "/run/containerd/containerd.sock"]);
        assert_eq!(sockets.places("")[0].paths, ["/run/containerd/containerd.sock"]);
        assert_eq!(Sockets::default().places(""), []);
    }
}
