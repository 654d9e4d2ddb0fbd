"""Pages of containers as a machine with these containers would show them: names, types and labels of cAdvisor and the
kubelet, empty labels not written. Counters run with the clock, one a second, so that rates are known."""

WEB = "3f2a" * 16
API = "9c01" * 16
PAUSE_WEB = "77de" * 16
PAUSE_API = "1b5e" * 16
POD_WEB = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d_0000_4000_8000_00000000000a.slice"
POD_API = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a1b2c3d_0000_4000_8000_00000000000b.slice"


def pod(namespace, name, path, sandbox, container, number, image):
    """A pod's cgroup, its sandbox with the network, and its one container."""
    of_pod = {"namespace": namespace, "pod": name}
    return [
        ("pod", {"id": path, **of_pod}),
        ("sandbox", {"id": f"{path}/cri-containerd-{sandbox}.scope", "image": "registry.k8s.io/pause:3.9",
                     "name": sandbox, **of_pod}),
        ("container", {"id": f"{path}/cri-containerd-{number}.scope", "image": image, "name": number,
                       "container": container, **of_pod}),
    ]


def machine():
    """What every machine has."""
    return [("root", {"id": "/"}), ("slice", {"id": "/system.slice"}),
            ("service", {"id": "/system.slice/sshd.service"}),
            ("service", {"id": "/system.slice/system-getty.slice/getty@tty1.service"})]


def docker():
    """A container that Kubernetes knows nothing of."""
    return [("docker", {"id": f"/system.slice/docker-{'ab12' * 16}.scope", "image": "registry:2", "name": "registry"})]


def kubernetes():
    return (machine() + docker()
            + pod("shop", "web-5d9f", POD_WEB, PAUSE_WEB, "nginx", WEB, "docker.io/library/nginx:1.27")
            + pod("mining", "api-0", POD_API, PAUSE_API, "api", API, "example.org/api:2"))


def dockershim(things):
    """The same with the exporter's own option for names as with Docker, and the labels of that time."""
    renamed = []
    for kind, labels in things:
        labels = dict(labels)
        if kind in ("sandbox", "container"):
            container = labels.get("container", "POD")
            labels["name"] = f"k8s_{container}_{labels['pod']}_{labels['namespace']}_0a1b2c3d-0000-4000-8000-00000000000a_0"
        if "pod" in labels:
            labels["pod_name"] = labels["pod"]
        if "container" in labels:
            labels["container_name"] = labels["container"]
        renamed.append((kind, labels))
    return renamed


def line(name, labels, value):
    inside = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def page(things, seconds):
    """The text of the page, `seconds` after the counters began."""
    out = []

    def family(name, kind, rows):
        out.append(f"# HELP {name} As cAdvisor has it.")
        out.append(f"# TYPE {name} {kind}")
        out.extend(line(name, labels, value) for labels, value in rows)

    family("machine_cpu_cores", "gauge", [({}, 4)])
    family("machine_memory_bytes", "gauge", [({}, 1000)])
    family("container_cpu_usage_seconds_total", "counter",
           [({"cpu": "total", **labels}, seconds) for _, labels in things])
    family("container_memory_working_set_bytes", "gauge", [(labels, 100) for _, labels in things])
    # Once for each network namespace: the machine's, a pod's by its sandbox, a plain container's own.
    own = [labels for kind, labels in things if kind in ("root", "sandbox", "docker")]
    for way in ("receive", "transmit"):
        family(f"container_network_{way}_bytes_total", "counter",
               [({"interface": "eth0", **labels}, seconds * 10) for labels in own])
    leaves = [labels for kind, labels in things if kind in ("container", "docker")]
    for way in ("reads", "writes"):
        family(f"container_fs_{way}_bytes_total", "counter",
               [({"device": "/dev/vda", **labels}, seconds * 5) for labels in leaves])
    return "\n".join(out) + "\n"


# What a page of the machine must have for the queries, where no binary is there to give a real one.
NODE_PAGE = """# TYPE node_disk_io_now gauge
node_disk_io_now{device="vda"} 1
# TYPE node_uname_info gauge
node_uname_info{nodename="wholenode-x7k2p"} 1
# TYPE wholenode_build_info gauge
wholenode_build_info{version="0"} 1
"""

KUBE_STATE_METRICS = """# TYPE kube_node_info gauge
kube_node_info{node="node-1"} 1
"""
