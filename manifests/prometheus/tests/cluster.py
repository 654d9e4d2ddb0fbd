"""What Kubernetes and the operator would have told Prometheus: pods from a file, jobs from PodMonitors."""

import json
import pathlib
import shutil
import subprocess
import sys

import yaml

KUBERNETES = pathlib.Path(__file__).resolve().parent.parent.parent / "kubernetes"


def pod_target(address, app, port_name, name):
    """The labels that kubernetes_sd gives to a container's port."""
    return {
        "targets": [address],
        "labels": {
            "__meta_kubernetes_namespace": "wholenode",
            "__meta_kubernetes_pod_name": name,
            "__meta_kubernetes_pod_node_name": "node-1",
            "__meta_kubernetes_pod_container_name": app,
            "__meta_kubernetes_pod_container_port_name": port_name,
            "__meta_kubernetes_pod_label_app_kubernetes_io_name": app,
            "__meta_kubernetes_pod_ready": "true",
        },
    }


def with_pods(config, folder, machine, kube_state):
    """The configuration, with the pods from a file."""
    pods = [
        pod_target(machine, "wholenode", "metrics", "wholenode-x7k2p"),
        # What must not be scraped: another program, and another port of the pod.
        pod_target("127.0.0.1:1", "shop", "metrics", "shop-1"),
        pod_target("127.0.0.1:2", "wholenode", "debug", "wholenode-x7k2p"),
        pod_target(kube_state, "kube-state-metrics", "http", "kube-state-metrics-1"),
    ]
    path = folder / "pods.json"
    path.write_text(json.dumps(pods))
    for job in config["scrape_configs"]:
        if job.pop("kubernetes_sd_configs") != [{"role": "pod"}]:
            sys.exit(f"{job['job_name']}: kubernetes_sd_configs: expected the role pod and nothing else")
        job["file_sd_configs"] = [{"files": [str(path)]}]
    return config


SNAKE = {"sourceLabels": "source_labels", "targetLabel": "target_label"}


def from_monitors(objects):
    """What the operator makes of PodMonitors: labels of its own first, then theirs."""
    own = [
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    jobs = []
    for monitor in (found for found in objects if found["kind"] == "PodMonitor"):
        name = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
        app = monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"]):
            rules = [{SNAKE.get(key, key): value for key, value in rule.items()} for rule in endpoint["relabelings"]]
            keep = {
                "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name",
                                  "__meta_kubernetes_pod_container_port_name"],
                "regex": f"{app};{endpoint['port']}",
                "action": "keep",
            }
            job = [{"target_label": "job", "replacement": name}, {"target_label": "endpoint", "replacement": "metrics"}]
            jobs.append({
                "job_name": f"podMonitor/{name}/{number}",
                "metrics_path": endpoint["path"],
                "params": endpoint.get("params", {}),
                "honor_labels": endpoint.get("honorLabels", False),
                "kubernetes_sd_configs": [{"role": "pod"}],
                "relabel_configs": [keep, *own, *job, *rules],
                "metric_relabel_configs": [{SNAKE.get(key, key): value for key, value in rule.items()}
                                           for rule in endpoint.get("metricRelabelings", [])],
            })
    return {"global": {}, "scrape_configs": jobs}


def rendered(kubectl, folder):
    """The overlay replace-cadvisor with the labels of old dashboards."""
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": ["kubernetes/overlays/replace-cadvisor"],
        "components": ["kubernetes/components/legacy-labels"],
    }))
    # kustomize follows no link out of the folder.
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    text = subprocess.run([kubectl, "kustomize", str(folder)], check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(text))
