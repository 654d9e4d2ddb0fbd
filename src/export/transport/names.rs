//! Addresses of names, by the files and servers that the C library would ask; it is not asked itself, since a static glibc
//! aborts where the host has another one.

use super::words::line;
use hickory_resolver::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use std::net::IpAddr;
use std::time::Duration;

/// How long the addresses of one kind wait for those of the other; servers exist that never answer for IPv6.
const PATIENCE: Duration = Duration::from_millis(300);
/// How many addresses are tried at most.
const MOST: usize = 16;

/// Where names are looked up.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) hosts: String,
    pub(super) resolv_conf: String,
    /// The port of the servers.
    pub(super) port: u16,
}

impl Default for Names {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".to_owned(), resolv_conf: "/etc/resolv.conf".to_owned(), port: 53 }
    }
}

impl Names {
    /// The addresses of a host, in the order in which they are tried: IPv6 and IPv4 in turns.
    ///
    /// The files are read each time, which is rare, because connections are kept; both are on the root filesystem.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let told = |why: &dyn std::fmt::Display| format!("{host}: no address: {}", line(&why.to_string()));
        let name = Name::from_str_relaxed(host).map_err(|error| told(&error))?;
        let fixed = self.fixed(&name);
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        let resolver = self.resolver().map_err(|error| told(&error))?;
        let (six, four) = both(&resolver, &name).await;
        match (&six, &four) {
            // Which of both errors is the better one, nobody knows; that of IPv4 is what most are about.
            (Err(six), Err(four)) if six.is_nx_domain() || four.is_nx_domain() => Err(told(&"there is no such name")),
            (Err(six), Err(four)) if six.is_no_records_found() && four.is_no_records_found() => {
                Err(told(&"the name has none"))
            }
            (Err(_), Err(error)) => Err(told(error)),
            _ => Ok(in_turns(&six.unwrap_or_default(), &four.unwrap_or_default())),
        }
    }

    /// What the file of hosts says of a name.
    fn fixed(&self, name: &Name) -> Vec<IpAddr> {
        let mut hosts = Hosts::default();
        let read = std::fs::File::open(&self.hosts).and_then(|file| hosts.read_hosts_conf(file));
        if read.is_err() {
            return Vec::new();
        }
        let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let of = |kind| of(kind).map(|found| addresses(&found)).unwrap_or_default();
        in_turns(&of(RecordType::AAAA), &of(RecordType::A))
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        // What the C library does without the file: the server of this machine is asked.
        let text = std::fs::read(&self.resolv_conf).unwrap_or_default();
        let (config, mut options) = parse_resolv_conf(&text).or_else(|_| parse_resolv_conf("nameserver 127.0.0.1"))?;
        let mut servers = config.name_servers().to_vec();
        servers.iter_mut().flat_map(|server| &mut server.connections).for_each(|to| to.port = self.port);
        let config = ResolverConfig::from_parts(config.domain().cloned(), config.search().to_vec(), servers);
        options.use_hosts_file = ResolveHosts::Never;
        // One answer is looked at, and the resolver thrown away.
        options.cache_size = 0;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.with_options(options).build()
    }
}

type Found = Result<Vec<IpAddr>, NetError>;

/// The addresses of both kinds; where one of them has come, not for long that of the other.
async fn both(resolver: &TokioResolver, name: &Name) -> (Found, Found) {
    let six = async { resolver.ipv6_lookup(name.clone()).await.map(|found| addresses(&found)) };
    let four = async { resolver.ipv4_lookup(name.clone()).await.map(|found| addresses(&found)) };
    tokio::pin!(six, four);
    let soon = |found: &Found| if found.is_ok() { PATIENCE } else { Duration::MAX };
    let late = || Err(NetError::Timeout);
    tokio::select! {
        found = &mut six => {
            let other = tokio::time::timeout(soon(&found), four).await.unwrap_or_else(|_| late());
            (found, other)
        }
        found = &mut four => {
            let other = tokio::time::timeout(soon(&found), six).await.unwrap_or_else(|_| late());
            (other, found)
        }
    }
}

fn addresses(found: &Lookup) -> Vec<IpAddr> {
    found.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// One of these and one of those.
fn in_turns(six: &[IpAddr], four: &[IpAddr]) -> Vec<IpAddr> {
    let longest = six.len().max(four.len());
    (0..longest).flat_map(|at| [six.get(at), four.get(at)]).flatten().copied().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_in_turns() {
        let of = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(in_turns(&of(&["::1", "::2"]), &of(&["1.1.1.1"])), of(&["::1", "1.1.1.1", "::2"]));
        assert_eq!(in_turns(&[], &of(&["1.1.1.1"; 20])).len(), MOST);
    }
}
