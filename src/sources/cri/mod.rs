//! The Container Runtime Interface: all pods and containers of the node in two calls, answered from the runtime's memory.
//!
//! Only what is nowhere else to be had is asked of single ones, once in their life: the first process of a pod, which its
//! network is found by, and the name of an image that the list has only the digest of.

mod call;
mod messages;

use super::{Failure, Source, bounded, confirmed, over, text, timely};
pub(super) use call::{Calls, open};
use collectors::kit::cgroup::{Named, Runtime};
use collectors::kit::{Machine, protobuf};
use messages::{Container, Sandbox};
use std::collections::HashMap;
use std::sync::Arc;

/// How many single ones are asked for at a time; the rest have their turn the next time.
const SINGLE_MAX: usize = 256;

/// Asks for all, and tells who those are that are wanted.
pub(super) async fn ask(source: &Source, wanted: &[(Runtime, String)], machine: &Arc<Machine>) -> Result<(), Failure> {
    let stream = source.connect().await?;
    let (mut calls, connection) = timely(open(stream)).await?;
    over(connection, async move {
        let sandboxes = source.request(calls.call("ListPodSandbox", Vec::new())).await?;
        let sandboxes: HashMap<&str, Sandbox<'_>> =
            messages::sandboxes(&sandboxes)?.into_iter().map(|sandbox| (sandbox.id, sandbox)).collect();
        let containers = source.request(calls.call("ListContainers", Vec::new())).await?;
        let containers: HashMap<&str, Container<'_>> =
            messages::containers(&containers)?.into_iter().map(|container| (container.id, container)).collect();
        let mut single = 0;
        for (runtime, id) in wanted {
            let (sandbox, container) = (sandboxes.get(id.as_str()), containers.get(id.as_str()));
            let mut named = match (sandbox, container) {
                (Some(sandbox), _) => of_sandbox(*runtime, sandbox),
                (None, Some(container)) => of_container(*runtime, container, sandboxes.get(container.sandbox)),
                (None, None) => continue,
            };
            if named.image.is_empty() || is_digest(&named.image) {
                single += 1;
                if single > SINGLE_MAX {
                    break;
                }
                complete(source, &mut calls, id, &mut named).await?;
            }
            named.pid = confirmed(machine, named.pid, id);
            machine.names.tell(*runtime, id, named);
        }
        Ok(())
    })
    .await
}

/// What runs behind the socket, and how much of it.
pub(super) async fn probe(source: &Source) -> Result<String, Failure> {
    let stream = source.connect().await?;
    let (mut calls, connection) = timely(open(stream)).await?;
    over(connection, async move {
        let version = messages::version(&source.request(calls.call("Version", Vec::new())).await?)?;
        let sandboxes = source.request(calls.call("ListPodSandbox", Vec::new())).await?;
        let containers = source.request(calls.call("ListContainers", Vec::new())).await?;
        let (pods, containers) = (messages::sandboxes(&sandboxes)?.len(), messages::containers(&containers)?.len());
        Ok(format!("{version}: {pods} pods, {containers} containers"))
    })
    .await
}

/// Asks for what the lists lack. A container that is gone meanwhile costs only itself.
async fn complete(source: &Source, calls: &mut Calls, id: &str, named: &mut Named) -> Result<(), Failure> {
    let mut request = Vec::new();
    protobuf::put_bytes(&mut request, 1, id.as_bytes());
    let method = if named.is_sandbox { "PodSandboxStatus" } else { "ContainerStatus" };
    if named.is_sandbox {
        // In the words of the runtime; its process is in no other.
        protobuf::put_number(&mut request, 2, 1);
    }
    let status = match source.request(calls.call(method, request)).await {
        Err(Failure::Unable(_)) => return Ok(()),
        status => status?,
    };
    let status = messages::status(&status, named.is_sandbox)?;
    named.pid = status.pid.or(named.pid);
    if !status.image.is_empty() {
        named.image = status.image;
    }
    Ok(())
}

/// `sha256:0123…`, or the digits alone: what the kubelet asks for when it has resolved the name.
fn is_digest(image: &str) -> bool {
    let digits = image.strip_prefix("sha256:").unwrap_or(image);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn of_sandbox(runtime: Runtime, sandbox: &Sandbox<'_>) -> Named {
    let mut named = Named {
        namespace: text(sandbox.namespace),
        pod: text(sandbox.name),
        pod_uid: text(sandbox.uid),
        is_sandbox: true,
        attempt: Some(sandbox.attempt),
        labels: bounded(sandbox.labels()),
        ..Named::default()
    };
    named.name = name(runtime, sandbox.id, &named);
    named
}

fn of_container(runtime: Runtime, container: &Container<'_>, sandbox: Option<&Sandbox<'_>>) -> Named {
    let of_pod = |label: &str, of_sandbox: Option<&[u8]>| {
        let own = container.labels().find(|(name, _)| *name == label.as_bytes()).map(|(_, value)| value);
        text(own.or(of_sandbox).unwrap_or_default())
    };
    let mut named = Named {
        namespace: of_pod("io.kubernetes.pod.namespace", sandbox.map(|sandbox| sandbox.namespace)),
        pod: of_pod("io.kubernetes.pod.name", sandbox.map(|sandbox| sandbox.name)),
        pod_uid: of_pod("io.kubernetes.pod.uid", sandbox.map(|sandbox| sandbox.uid)),
        container: text(container.name),
        image: text(container.image),
        attempt: Some(container.attempt),
        labels: bounded(container.labels()),
        ..Named::default()
    };
    named.name = name(runtime, container.id, &named);
    named
}

/// CRI has no name for one. containerd knows it by its identity; CRI-O and cri-dockerd make a name of what it belongs to.
fn name(runtime: Runtime, id: &str, named: &Named) -> String {
    if !matches!(runtime, Runtime::Crio | Runtime::Docker) {
        return id.to_owned();
    }
    let container = if named.is_sandbox { "POD" } else { &named.container };
    let attempt = named.attempt.unwrap_or(0);
    format!("k8s_{container}_{}_{}_{}_{attempt}", named.pod, named.namespace, named.pod_uid)
}
