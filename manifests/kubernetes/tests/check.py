"""What must hold of every profile, checked on the rendered objects.

    check.py --kubectl=PATH [--binary=PATH] [--rendered=FOLDER]

Renders the base, every overlay, and the base with every component, and puts the results into FOLDER. With a binary, it
also starts it once with the flags of every DaemonSet."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

KUBERNETES = pathlib.Path(__file__).resolve().parent.parent

# The capabilities of each profile; a new overlay needs a row.
CAPABILITIES = {
    "base": [],
    "annotations": [],
    "containers": ["DAC_READ_SEARCH"],
    "full": ["DAC_READ_SEARCH", "SYS_PTRACE"],
    "openshift": [],
    "power": ["DAC_READ_SEARCH"],
    "replace-cadvisor": ["DAC_READ_SEARCH"],
    "replace-node-exporter": [],
    "tls": [],
}
ON_HOST_NETWORK = {"full", "replace-node-exporter", "component-host-network"}
OVER_TLS = {"tls", "component-web-config"}
# The pages of groups, and the job of each in each profile.
JOBS = {
    "/metrics/node": {"node-exporter", "wholenode"},
    "/metrics/cadvisor": {"cadvisor"},
    "/metrics/power": {"wholenode"},
    "/metrics/jetson": {"wholenode"},
    "/metrics/health": {"wholenode"},
}
CLUSTER_WIDE = {"Namespace", "SecurityContextConstraints"}
# What a component is rendered after, because it changes what that brings.
AFTER = {"legacy-labels": ["pages/cadvisor"], "annotations-cadvisor": ["annotations"],
         "capabilities/sys-ptrace": ["capabilities/dac-read-search"]}

DEVICES = {
    True: ["veth1a2b3c4", "cali0123456789a", "lxc_health", "lxc0123456789ab", "azv0123456789a", "eni0123456789a",
           "gke0123456789a", "0123456789abcde"],
    False: ["eth0", "ens5", "enp3s0f0", "bond0", "wlan0", "lxcbr0", "docker0", "cni0", "eni0", "lo", "ib0", "usb0",
            "cilium_host", "vxlan.calico", "br-0123456789ab"],
}

PROBLEMS = []


def hold(truth, where, what):
    if not truth:
        PROBLEMS.append(f"{where}: {what}")


def components():
    found = sorted(KUBERNETES.glob("components/**/kustomization.yaml"))
    return [path.parent.relative_to(KUBERNETES / "components").as_posix() for path in found]


def render_all(kubectl, folder):
    """Name of the set-up, and its objects."""
    with tempfile.TemporaryDirectory() as name:
        copy = pathlib.Path(name) / "kubernetes"
        shutil.copytree(KUBERNETES, copy)
        places = {"base": copy / "base"}
        places.update({path.name: path for path in sorted((copy / "overlays").iterdir())})
        for component in components():
            place = pathlib.Path(name) / f"component-{component.replace('/', '-')}"
            place.mkdir()
            used = [*AFTER.get(component, []), component]
            (place / "kustomization.yaml").write_text(yaml.safe_dump({
                "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                "resources": ["../kubernetes/base"], "components": [f"../kubernetes/components/{one}" for one in used]}))
            places[place.name] = place
        for setup, place in places.items():
            done = subprocess.run([kubectl, "kustomize", str(place)], capture_output=True, text=True, check=False)
            if done.returncode or "deprecated" in done.stderr:
                sys.exit(f"kubectl kustomize of {setup}: {done.stderr}")
            if folder:
                (folder / f"{setup}.yaml").write_text(done.stdout)
            yield setup, list(yaml.safe_load_all(done.stdout))


def of_kind(objects, kind):
    return [one for one in objects if one["kind"] == kind]


def check_pod(setup, daemonset):
    """What the pod may do."""
    spec = daemonset["spec"]["template"]["spec"]
    host_network = setup in ON_HOST_NETWORK
    hold(spec["hostNetwork"] is host_network, setup, f"hostNetwork: expected {host_network}")
    hold(spec["hostPID"] is False and spec["hostIPC"] is False, setup, "hostPID and hostIPC: expected false")
    hold(spec["automountServiceAccountToken"] is False, setup, "automountServiceAccountToken: expected false")
    hold(spec["enableServiceLinks"] is False, setup, "enableServiceLinks: expected false")
    hold(spec["nodeSelector"] == {"kubernetes.io/os": "linux"}, setup, "nodeSelector: expected linux only")
    hold(spec["tolerations"] == [{"operator": "Exists"}], setup, "tolerations: expected all taints")
    hold("[amd64, arm64]" in yaml.safe_dump(spec["affinity"], default_flow_style=None), setup, "affinity: two architectures")
    pod = spec["securityContext"]
    root = setup == "component-root-user"
    user = 0 if root else 65534
    hold(pod["runAsUser"] == user and pod["runAsGroup"] == user, setup, f"user and group: expected {user}")
    hold(pod["runAsNonRoot"] is not root, setup, f"runAsNonRoot: expected {not root}")
    hold(pod["seccompProfile"] == {"type": "RuntimeDefault"}, setup, "seccompProfile: expected RuntimeDefault")
    hold(not spec.get("initContainers"), setup, "initContainers: expected none")
    for container in spec["containers"]:
        check_container(setup, container)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in spec["containers"][0]["volumeMounts"]:
        hold(mount["name"] in volumes, setup, f"mount {mount['name']}: no such volume")
        # What could not be pushed is written to a folder of the pod's own.
        own = setup == "component-otlp" and "emptyDir" in volumes.get(mount["name"], {})
        hold(mount.get("readOnly", False) is not own, setup, f"mount {mount['name']}: expected read-only")
    machine = {volume["hostPath"]["path"] for volume in volumes.values() if "hostPath" in volume}
    hold(machine == {"/proc", "/sys", "/"}, setup, f"hostPath: {machine}")
    root_mount = next(mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "root")
    hold(root_mount.get("mountPropagation") == "HostToContainer", setup, "the root's mountPropagation: HostToContainer")


def check_container(setup, container):
    """What the container may do."""
    security = container["securityContext"]
    hold(security["readOnlyRootFilesystem"] is True, setup, "readOnlyRootFilesystem: expected true")
    hold(security["allowPrivilegeEscalation"] is False, setup, "allowPrivilegeEscalation: expected false")
    hold(security["privileged"] is False, setup, "privileged: expected false")
    hold(security["capabilities"]["drop"] == ["ALL"], setup, "capabilities: expected all dropped")
    wanted = CAPABILITIES.get(setup)
    if setup.startswith("component-"):
        named = {"dac-read-search": ["DAC_READ_SEARCH"], "sys-ptrace": ["DAC_READ_SEARCH", "SYS_PTRACE"]}
        wanted = named.get(setup.removeprefix("component-capabilities-"), [])
    hold(wanted is not None, setup, "no row in CAPABILITIES")
    hold(security["capabilities"]["add"] == wanted, setup, f"capabilities: expected {wanted}")
    for kind in ("requests", "limits"):
        hold(set(container["resources"][kind]) == {"cpu", "memory"}, setup, f"{kind}: expected cpu and memory")
    for probe, path in (("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")):
        wanted = {"httpGet": {"path": path, "port": "metrics"}}
        if setup in OVER_TLS:
            wanted = {"tcpSocket": {"port": "metrics"}}
        hold(wanted.items() <= container[probe].items(), setup, f"{probe}: expected {wanted}")
    names = [one["name"] for one in container.get("env", [])]
    hold(len(names) == len(set(names)), setup, "env: a name twice")
    used = set(re.findall(r"\$\((\w+)\)", " ".join(container["args"])))
    hold(used <= set(names), setup, f"args use {used}, env has {names}")
    words = [argument.split("=")[0] for argument in container["args"]]
    hold(len(words) == len(set(words)), setup, "args: a flag twice")
    for argument in container["args"]:
        if "ignored-devices" in argument or "device-exclude" in argument:
            # The program's expressions are searched for, as Python's are by search().
            expression = re.compile(argument.split("=", 1)[1])
            for excluded, devices in DEVICES.items():
                for device in devices:
                    hold(bool(expression.search(device)) is excluded, setup, f"{argument}: {device}")


def check_ports(setup, objects, daemonset):
    """One port, everywhere."""
    pod = daemonset["spec"]["template"]
    container = pod["spec"]["containers"][0]
    port = 9100 if setup == "replace-node-exporter" else 19100
    listen = container["args"][0]
    hold(listen.startswith("--web.listen-address=") and listen.endswith(f":{port}"), setup, f"{listen}: expected {port}")
    hold(container["ports"] == [{"name": "metrics", "containerPort": port, "protocol": "TCP"}], setup, "ports")
    labels = pod["metadata"]["labels"]
    hold(daemonset["spec"]["selector"]["matchLabels"].items() <= labels.items(), setup, "the DaemonSet's selector")
    for service in of_kind(objects, "Service"):
        name = f"{setup}: Service {service['metadata']['name']}"
        hold(service["spec"]["clusterIP"] == "None", name, "expected headless")
        hold(service["spec"]["selector"].items() <= labels.items(), name, "selector")
        hold([one["port"] for one in service["spec"]["ports"]] == [port], name, f"port: expected {port}")
        marks = service["metadata"].get("annotations", {})
        if marks:
            hold(marks["prometheus.io/path"] in JOBS, name, f"path {marks['prometheus.io/path']}: expected a group's page")
            hold(marks["prometheus.io/port"] == str(port), name, "prometheus.io/port")
    for policy in of_kind(objects, "NetworkPolicy"):
        hold(policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items(), setup, "the NetworkPolicy's selector")


def check_monitors(setup, objects, daemonset):
    """What Prometheus scrapes, and under which labels."""
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    monitors = of_kind(objects, "PodMonitor")
    without = "annotations" in setup and setup != "component-apparmor-annotation"
    hold(bool(monitors) is not without, setup, "PodMonitor")
    scheme = "https" if setup in OVER_TLS else "http"
    seen = set()
    for monitor in monitors:
        hold(monitor["spec"]["selector"]["matchLabels"].items() <= labels.items(), setup, "the PodMonitor's selector")
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            path = endpoint.get("path", "/metrics")
            where = f"{setup}: {monitor['metadata']['name']} {path}"
            rules = endpoint["relabelings"]
            job = next((rule["replacement"] for rule in rules if rule.get("targetLabel") == "job"), None)
            wanted = {"kubelet"} if setup == "replace-cadvisor" and path == "/metrics/cadvisor" else JOBS.get(path, set())
            hold(path in JOBS, where, "expected a group's page, and never everything")
            hold(job in wanted, where, f"job {job}: expected one of {wanted}")
            hold((job, path) not in seen, where, "scraped twice under one job")
            seen.add((job, path))
            hold(endpoint["port"] == "metrics", where, "port: expected metrics")
            hold(endpoint["scheme"] == scheme, where, f"scheme: expected {scheme}")
            set_to = {rule.get("targetLabel") for rule in rules}
            hold({"instance", "node", "kubernetes_io_hostname"} <= set_to, where, f"labels of the node: {set_to}")
            if path != "/metrics/node":
                hold(endpoint.get("honorLabels") is True, where, "honorLabels: expected true")
                hold("metrics_path" in set_to, where, "expected the label metrics_path")
                dropped = [rule["regex"] for rule in rules if rule.get("action") == "labeldrop"]
                hold(dropped == ["namespace|pod|container|endpoint"], where, f"labels dropped of the target: {dropped}")
            for rule in [*rules, *endpoint.get("metricRelabelings", [])]:
                # `$1_` is the group named `1_`, which is empty.
                hold(not re.search(r"\$\d+\w", rule.get("replacement", "")), where, f"{rule.get('replacement')}: expected braces")


def check_openshift(setup, objects, daemonset):
    """The constraints allow just what the pod asks for."""
    for scc in of_kind(objects, "SecurityContextConstraints"):
        spec = daemonset["spec"]["template"]["spec"]
        container = spec["containers"][0]
        hold(scc["allowHostNetwork"] is spec["hostNetwork"], setup, "allowHostNetwork")
        hold(scc["allowHostPID"] is spec["hostPID"], setup, "allowHostPID")
        hold(scc["allowHostDirVolumePlugin"] is True and "hostPath" in scc["volumes"], setup, "hostPath")
        hold(scc["runAsUser"]["uid"] == spec["securityContext"]["runAsUser"], setup, "runAsUser")
        hold(set(container["securityContext"]["capabilities"]["add"]) == set(scc["allowedCapabilities"]), setup, "capabilities")
        asked = container["securityContext"]["seLinuxOptions"]
        hold(scc["seLinuxContext"]["seLinuxOptions"] == asked, setup, "seLinuxOptions")
        role = of_kind(objects, "Role")[0]
        hold(role["rules"][0]["resourceNames"] == [scc["metadata"]["name"]], setup, "the Role's resourceNames")


def check_names(setup, objects):
    """All in one namespace, which lets them in."""
    for one in objects:
        wanted = None if one["kind"] in CLUSTER_WIDE else "wholenode"
        hold(one["metadata"].get("namespace") == wanted, setup, f"{one['kind']}: namespace {wanted} expected")
    labels = of_kind(objects, "Namespace")[0]["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        hold(labels[f"pod-security.kubernetes.io/{mode}"] == "privileged", setup, "Pod Security: hostPath needs privileged")


def check_flags(setup, daemonset, binary, helped):
    """The program takes the flags."""
    arguments = daemonset["spec"]["template"]["spec"]["containers"][0]["args"]
    if any(one.startswith("--web.config.file=") for one in arguments) and "--web.config.file" not in helped:
        print(f"skipped: the flags of {setup} (this binary has no --web.config.file)")
        return
    # Those of paths name folders of the container.
    kept = [one for one in arguments if not one.startswith(("--path.", "--web.", "--collector.systemd", "--collector.logind"))]
    done = subprocess.run([binary, "once", "--group=node", *kept], capture_output=True, text=True, check=False)
    hold(done.returncode == 0, setup, f"{binary} ends with {done.returncode}: {done.stderr.strip()[:500]}")
    hold("no effect" not in done.stderr, setup, done.stderr.strip()[:500])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--binary")
    parser.add_argument("--rendered", type=pathlib.Path)
    arguments = parser.parse_args()
    helped = ""
    if arguments.binary:
        helped = subprocess.run([arguments.binary, "--help"], capture_output=True, text=True, check=True).stdout
    seen = 0
    for setup, objects in render_all(arguments.kubectl, arguments.rendered):
        seen += 1
        daemonset = of_kind(objects, "DaemonSet")[0]
        check_names(setup, objects)
        check_pod(setup, daemonset)
        check_ports(setup, objects, daemonset)
        check_monitors(setup, objects, daemonset)
        check_openshift(setup, objects, daemonset)
        if arguments.binary:
            check_flags(setup, daemonset, arguments.binary, helped)
    for problem in PROBLEMS:
        print(f"FAILED: {problem}", file=sys.stderr)
    if not PROBLEMS:
        print(f"{seen} set-ups hold to what every profile promises")
    sys.exit(bool(PROBLEMS))


if __name__ == "__main__":
    main()
