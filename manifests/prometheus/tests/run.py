"""Runs Prometheus with the shipped configurations, and asks it the queries of queries.yaml.

    run.py [--binary=PATH] [--kubectl=PATH] [--prometheus=PATH]
    run.py --real=ADDRESS --container=NAME --image=NAME --service=NAME [--prometheus=PATH]

Where Prometheus would ask the API server for pods, it gets them from a file with the labels that it would have had:
file_sd takes the labels __meta_kubernetes_* as they are. All else is the shipped file's. The page of the machine is the
binary's own, if there is one; that of containers is made by pages.py, so that names as with Docker can be had too.

With --real, all pages are those of the daemon at that address, and only kube-state-metrics is made up. On its machine
are a container, a service, and the pod web-5d9f of the namespace shop: tests/it/containers/queries.rs makes them."""

import argparse
import copy
import http.server
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import yaml

import cluster
import pages

HERE = pathlib.Path(__file__).resolve().parent
SHIPPED = HERE.parent
INTERVAL = "1s"
# Long enough for three samples of each series, short enough for every change.
PATIENCE = 60

KUBERNETES_PODS = {"web-5d9f", "api-0"}
KUBERNETES_NAMESPACES = {"shop", "mining"}
SERVICES = {"sshd", "getty@tty1"}


def every(key, values):
    return {((key, value),) for value in values}


def expected(node, pods, has_kube_state, namespaces=KUBERNETES_NAMESPACES, services=SERVICES, container=("registry", "registry:2")):
    """What each query must return: the sets of labels of its rows; `None` for what the set-up can't have."""
    docker = {(("image", container[1]), ("kubernetes_io_hostname", node), ("name", container[0]))}
    of_pods = every("pod_name", pods) if pods else None
    of_namespaces = every("namespace", namespaces) if pods else None
    whole = {()}
    return {
        "cluster CPU usage, percent": whole,
        "containers CPU usage": docker,
        "processes CPU usage": "some",
        "pods CPU usage": of_pods,
        "system services CPU usage": every("systemd_service_name", services),
        "namespace CPU usage": of_namespaces,
        "cluster memory usage, percent": whole,
        "containers memory usage": docker,
        "processes memory usage": "some",
        "pods memory usage": of_pods,
        "system services memory usage": every("systemd_service_name", services),
        "namespace memory usage": of_namespaces,
        "cluster network received": whole,
        "cluster network transmitted": whole,
        "containers network received": docker,
        "containers network transmitted": docker,
        "processes network received": "some",
        "processes network transmitted": "some",
        "pods network received": of_pods,
        "pods network transmitted": of_pods,
        "namespace network received": of_namespaces,
        "namespace network transmitted": of_namespaces,
        "node disk throughput": every("node", {node}),
        "namespace disk throughput": of_namespaces,
        "available compute nodes": whole if has_kube_state else None,
    }


def more(node, job):
    """Further queries, and the labels of their rows: what must hold of every set-up."""
    kubelet = f'job="{job}",metrics_path="/metrics/cadvisor"' if job == "kubelet" else f'job="{job}"'
    return {
        f'count by (node, instance, kubernetes_io_hostname) (container_memory_working_set_bytes{{{kubelet},id="/"}})':
            {(("instance", node), ("kubernetes_io_hostname", node), ("node", node))},
        # The machine as a whole and its services belong to no pod and no namespace.
        'count(container_memory_working_set_bytes{id!~"/kubepods.*",pod!=""})': set(),
        'count(container_memory_working_set_bytes{id!~"/kubepods.*",namespace!=""})': set(),
        'count by (node) (up{job="wholenode"} == 1)': {(("node", node),)},
        'count by (node) (up{job="node-exporter"} == 1)': {(("node", node),)},
        'count(up == 0)': set(),
        'count by (job) ({__name__="wholenode_build_info",job!="cadvisor"})':
            {(("job", "node-exporter"),), (("job", "wholenode"),)},
        # Nothing is scraped twice: each interface of each thing once.
        'count(count by (id, interface) (container_network_receive_bytes_total) > 1)': set(),
    }


class Machine(http.server.BaseHTTPRequestHandler):
    """Answers as wholenode would on a machine with containers, and as an inventory and kube-state-metrics."""

    things = pages.kubernetes()
    began = time.time()
    binary = None
    targets = []

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        kind = "text/plain; version=0.0.4"
        if path == "/metrics/cadvisor":
            text = pages.page(self.things, time.time() - self.began)
        elif path == "/metrics/node" and self.binary:
            text = urllib.request.urlopen(f"http://{self.binary}{self.path}", timeout=10).read().decode()
        elif path == "/metrics/node":
            text = pages.NODE_PAGE
        elif path == "/metrics" and self.things is None:
            text = pages.KUBE_STATE_METRICS
        elif path == "/wholenode/targets.json":
            text, kind = json.dumps(self.targets), "application/json"
        else:
            self.send_error(404, f"{path} is not a page of a group")
            return
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(**attributes):
    handler = type("Served", (Machine,), attributes)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_address[1]}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    """One set-up that runs."""

    def __init__(self, command, name, config, folder, expects, further, has_others=False):
        self.name, self.expects, self.further = name, expects, further
        # On a real machine there is more than what was put there.
        self.has_others = has_others
        config = copy.deepcopy(config)
        config["global"].update(scrape_interval=INTERVAL, scrape_timeout=INTERVAL)
        config["rule_files"] = [str(SHIPPED / file) for file in config.get("rule_files", [])]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self.address = f"127.0.0.1:{free_port()}"
        self.log = open(folder / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [command, f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address={self.address}", "--log.level=warn"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def ask(self, expression):
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self.address}/api/v1/query?{query}", timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    def wrong(self, queries):
        """What is not as expected."""
        found = []
        for query in queries:
            wanted = self.expects.get(query["name"])
            if wanted is None:
                continue
            rows = self.ask(query["expr"])
            labels = {tuple(sorted(row["metric"].items())) for row in rows}
            is_all = labels >= wanted if self.has_others and wanted != "some" else labels == wanted
            if not rows or wanted != "some" and not is_all:
                found.append(f"{query['name']}: expected {wanted}, got {labels}")
            elif any(row["value"][1] in ("NaN", "+Inf") for row in rows):
                found.append(f"{query['name']}: {rows}")
        for expression, wanted in self.further.items():
            labels = {tuple(sorted(row["metric"].items())) for row in self.ask(expression)}
            if labels != wanted:
                found.append(f"{expression}: expected {wanted}, got {labels}")
        return found

    def wait(self, queries):
        until = time.time() + PATIENCE
        found = ["no answer"]
        while time.time() < until:
            if self.process.poll() is not None:
                break
            try:
                found = self.wrong(queries)
            except OSError as error:
                found = [str(error)]
            if not found:
                answered = sum(self.expects.get(query["name"]) is not None for query in queries)
                print(f"{self.name}: {answered} of {len(queries)} queries return what they should, "
                      f"and {len(self.further)} further ones")
                return True
            time.sleep(1)
        self.log.seek(0)
        print(f"FAILED: {self.name}:", *found, self.log.read()[-2000:], sep="\n  ", file=sys.stderr)
        return False

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def start_binary(path, folder):
    """The daemon's own page of the machine."""
    if not path:
        return None, None
    address = f"127.0.0.1:{free_port()}"
    log = open(folder / "wholenode.log", "w", encoding="utf-8")
    process = subprocess.Popen([path, f"--web.listen-address={address}"], stdout=log, stderr=log)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://{address}/-/ready", timeout=1).read()
            return process, address
        except OSError:
            time.sleep(0.1)
    process.kill()
    sys.exit(f"{path} does not answer: {(folder / 'wholenode.log').read_text()}")


def load(name):
    return yaml.safe_load((SHIPPED / name).read_text())


def set_ups(arguments, folder, binary):
    """Name, configuration, expected rows, further queries."""
    machine = serve(things=pages.kubernetes(), binary=binary)
    shim = serve(things=pages.dockershim(pages.kubernetes()), binary=binary)
    host = serve(things=pages.machine() + pages.docker(), binary=binary)
    kube_state = serve(things=None)
    in_cluster = {
        'count by (nodename) (node_uname_info)': {(("nodename", "node-1"),)},
        'count by (pod) (node_disk_io_now)': {(("pod", "wholenode-x7k2p"),)},
        'count(container_memory_working_set_bytes{name=~"k8s_.*",container_name!=""})': {()},
        # Old dashboards tell a pod's containers from its sandbox by the name.
        'count by (name) (container_network_receive_bytes_total{pod_name="web-5d9f"})': "k8s_POD_web-5d9f_shop",
        'count by (name) (container_memory_working_set_bytes{container_name="nginx"})': "k8s_nginx_web-5d9f_shop",
    }

    def folder_of(name):
        made = folder / re.sub(r"\W", "-", name)
        made.mkdir()
        return made

    def in_kubernetes(name, config, address, job, suffix="", has_kube_state=True):
        place = folder_of(name)
        further = {**more("node-1", job), **in_cluster}
        further = {query: {(("name", wanted + suffix),)} if isinstance(wanted, str) else wanted
                   for query, wanted in further.items()}
        return name, cluster.with_pods(config, place, address, kube_state), place, expected("node-1", KUBERNETES_PODS, has_kube_state), further

    yield in_kubernetes("kubernetes.yml", load("kubernetes.yml"), machine, "cadvisor")
    yield in_kubernetes("kubernetes.yml, names as with Docker", load("kubernetes.yml"), shim, "cadvisor",
                        "_0a1b2c3d-0000-4000-8000-00000000000a_0")
    if arguments.kubectl:
        objects = cluster.rendered(arguments.kubectl, folder_of("rendered"))
        yield in_kubernetes("PodMonitors of replace-cadvisor with legacy-labels", cluster.from_monitors(objects), machine, "kubelet",
                            has_kube_state=False)

    labels = {"node": "jetson-01", "site": "plant-a"}
    plain = expected("jetson-01", None, False), {
        **more("jetson-01", "cadvisor"), 'count by (site) (up{job="cadvisor"})': {(("site", "plant-a"),)}}
    target = [{"targets": [host], "labels": labels}]

    place = folder_of("file-sd.yml")
    (place / "targets").mkdir()
    (place / "targets" / "boards.yml").write_text(yaml.safe_dump(target))
    # Prometheus looks for the files beside its configuration.
    yield "file-sd.yml", load("file-sd.yml"), place, *plain

    inventory = serve(targets=target)
    config = load("http-sd.yml")
    for job in config["scrape_configs"]:
        url = urllib.parse.urlsplit(job["http_sd_configs"][0]["url"])
        job["http_sd_configs"][0]["url"] = f"http://{inventory}{url.path}"
    yield "http-sd.yml", config, folder_of("http-sd.yml"), *plain

    config = load("edge.yml")
    for job in config["scrape_configs"]:
        job["static_configs"] = [{**job["static_configs"][0], "targets": [host]}]
    yield "edge.yml", config, folder_of("edge.yml"), *plain


def real_set_ups(arguments, folder):
    """The same of a daemon, in Kubernetes and outside of it: name, configuration, expected rows, further queries."""
    on_it = {"services": {arguments.service}, "container": (arguments.container, arguments.image)}
    kubernetes, plain = folder / "kubernetes", folder / "plain"
    kubernetes.mkdir()
    plain.mkdir()
    config = cluster.with_pods(load("kubernetes.yml"), kubernetes, arguments.real, serve(things=None))
    yield ("kubernetes.yml, of a real machine", config, kubernetes,
           expected("node-1", {"web-5d9f"}, True, namespaces={"shop"}, **on_it), {
               **more("node-1", "cadvisor"),
               'count by (name) (container_network_receive_bytes_total{pod_name="web-5d9f"})':
                   {(("name", "k8s_POD_web-5d9f_shop"),)},
               'count by (name) (container_memory_working_set_bytes{container_name="nginx"})':
                   {(("name", "k8s_nginx_web-5d9f_shop"),)},
           })
    config = load("edge.yml")
    for job in config["scrape_configs"]:
        job["static_configs"] = [{**job["static_configs"][0], "targets": [arguments.real]}]
    yield "edge.yml, of a real machine", config, plain, expected("jetson-01", None, False, **on_it), more("jetson-01", "cadvisor")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary")
    parser.add_argument("--kubectl")
    parser.add_argument("--prometheus", default="prometheus")
    parser.add_argument("--real")
    parser.add_argument("--container")
    parser.add_argument("--image")
    parser.add_argument("--service")
    arguments = parser.parse_args()
    queries = yaml.safe_load((HERE / "queries.yaml").read_text())
    running, process = [], None
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        try:
            process, binary = start_binary(arguments.binary, folder)
            of_all = real_set_ups(arguments, folder) if arguments.real else set_ups(arguments, folder, binary)
            for set_up in of_all:
                title, config, place, expects, further = set_up
                of_node = {query["name"] for query in queries if query.get("of") == "node"}
                unknown = {query["name"] for query in queries} - of_node ^ expects.keys()
                if unknown:
                    sys.exit(f"queries.yaml and this test differ: {unknown}")
                if binary or arguments.real:
                    expects = {**expects, **dict.fromkeys(of_node, "some")}
                running.append(Prometheus(arguments.prometheus, title, config, place, expects, further, bool(arguments.real)))
            results = [one.wait(queries) for one in running]
        finally:
            for one in running:
                one.end()
            if process:
                process.kill()
                process.wait()
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
