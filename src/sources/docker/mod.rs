//! Docker's API, which Podman has too: one list of all that runs, and each new container once, for its first process.

mod http;
mod rows;

use super::{Failure, Source, bounded, confirmed, over, text, timely};
use collectors::kit::Machine;
use collectors::kit::cgroup::{Health, Named, Runtime};
use http::Expected;
use rows::{Inspected, Row};
use std::collections::HashMap;
use std::sync::Arc;

/// The longest list, and what one container may say of itself.
const LIST_MAX: usize = 4 << 20;
const ONE_MAX: usize = 1 << 20;
/// How many single ones are asked for at a time; the rest have their turn the next time.
const SINGLE_MAX: usize = 256;

const LIST: &str = "/containers/json";

/// Asks for all that runs, tells who those are that are wanted, and how all are. Whether to look again by itself.
pub(super) async fn ask(
    source: &Source,
    wanted: &[(Runtime, String)],
    machine: &Arc<Machine>,
) -> Result<bool, Failure> {
    let stream = source.connect().await?;
    let (mut asking, connection) = timely(http::open(stream)).await?;
    over(connection, async move {
        let list = source.request(asking.get(LIST, LIST_MAX, Expected::Found)).await?;
        let (mut found, mut healths) = (HashMap::new(), Vec::new());
        rows::list(&list.body, |row| {
            if let Some(health) = row.health() {
                healths.push((row.id.clone(), health));
            }
            if wanted.iter().any(|(_, id)| *id == row.id) {
                found.insert(row.id.clone(), row);
            }
        })?;
        // A service that is started by whoever connects is better left to sleep, if there is nothing to be seen.
        let is_probed = healths.iter().any(|(_, health)| *health != Health::NotProbed);
        let changes = is_probed || !list.server.starts_with("Libpod");
        machine.healths.tell(source.path(), healths);
        let known = wanted.iter().filter_map(|(runtime, id)| Some((*runtime, id, found.get(id)?)));
        for (runtime, id, row) in known.take(SINGLE_MAX) {
            let mut named = of(row);
            let path = format!("/containers/{id}/json");
            let one = source.request(asking.get(&path, ONE_MAX, Expected::Perhaps)).await?;
            if let Some(one) = Inspected::read(&one.body)? {
                named.pid = confirmed(machine, one.pid(), id);
                named.attempt = one.restarts().or(named.attempt);
            }
            machine.names.tell(runtime, id, named);
        }
        Ok(changes)
    })
    .await
}

/// What runs behind the socket, and how much of it.
pub(super) async fn probe(source: &Source) -> Result<String, Failure> {
    let stream = source.connect().await?;
    let (mut asking, connection) = timely(http::open(stream)).await?;
    over(connection, async move {
        let list = source.request(asking.get(LIST, LIST_MAX, Expected::Found)).await?;
        let mut containers = 0;
        rows::list(&list.body, |_| containers += 1)?;
        let server = if list.server.is_empty() { "a server without a name" } else { &list.server };
        Ok(format!("{server}: {containers} containers"))
    })
    .await
}

/// What the list tells of a container. One that belongs to a pod has that among its labels.
fn of(row: &Row) -> Named {
    let label = |name: &str| row.labels().get(name).map(|value| text(value.as_bytes())).unwrap_or_default();
    Named {
        name: text(row.name().as_bytes()),
        image: text(row.image().as_bytes()),
        namespace: label("io.kubernetes.pod.namespace"),
        pod: label("io.kubernetes.pod.name"),
        pod_uid: label("io.kubernetes.pod.uid"),
        container: label("io.kubernetes.container.name"),
        is_sandbox: label("io.kubernetes.docker.type") == "podsandbox",
        labels: bounded(row.labels().iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))),
        ..Named::default()
    }
}
