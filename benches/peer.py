#!/usr/bin/env python3
"""wholenode against node_exporter: the same collectors, the same machine, the same scraper, in the same minute.

Each runs in a cgroup of its own and is scraped once a second, in turn, over a kept connection, as Prometheus does it.
What is compared is the whole process tree, idle time included. Exit code 1: a target was missed.
"""

import argparse
import contextlib
import gzip
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

COLLECTORS = "stat cpu loadavg meminfo netdev filesystem hwmon textfile mdadm pressure softnet uname time"
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "User-Agent": "Prometheus/3.5.0",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
WARM_UP = 5
STRACED = 10


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def fields(path):
    """`name number` lines, as cgroups print them."""
    return {name: int(number) for name, number in (line.split() for line in read(path).splitlines())}


class Cgroup:
    """A cgroup below the caller's (v1) or below the root (v2, where a cgroup with processes can't have children)."""

    def __init__(self, name):
        self.folders = {}
        mounts = [line.split() for line in read("/proc/self/mounts").splitlines()]
        own = [line.split(":", 2) for line in read("/proc/self/cgroup").splitlines()]
        v1 = {word: mount[1] for mount in mounts if mount[2] == "cgroup" for word in mount[3].split(",")}
        if "memory" in v1 and "cpuacct" in v1:
            for controller in ("memory", "cpuacct"):
                path = next(path for _, words, path in own if controller in words.split(","))
                self.folders[controller] = os.path.join(v1[controller], path.strip("/"), name)
        else:
            root = next(mount[1] for mount in mounts if mount[2] == "cgroup2")
            self.folders["unified"] = os.path.join(root, name)
        try:
            for folder in self.folders.values():
                os.makedirs(folder, exist_ok=True)
            if "unified" in self.folders and not os.path.exists(self.file("memory", "memory.stat")):
                with open(os.path.join(root, "cgroup.subtree_control"), "w", encoding="ascii") as control:
                    control.write("+memory")
        except OSError:
            self.remove()
            raise

    def enter(self):
        """Called in the child, before it becomes the program."""
        for folder in self.folders.values():
            with open(os.path.join(folder, "cgroup.procs"), "w", encoding="ascii") as procs:
                procs.write(str(os.getpid()))

    def file(self, controller, name):
        return os.path.join(self.folders.get("unified") or self.folders[controller], name)

    def pids(self):
        return [int(pid) for pid in read(self.file("memory", "cgroup.procs")).split()]

    def cpu(self):
        """Nanoseconds, of ended processes too."""
        if "unified" in self.folders:
            return fields(self.file("cpu", "cpu.stat"))["usage_usec"] * 1000
        return int(read(self.file("cpuacct", "cpuacct.usage")))

    def memory(self):
        """What can't be given back: anonymous pages, and the kernel's memory on behalf of the processes."""
        stat = fields(self.file("memory", "memory.stat"))
        if "unified" in self.folders:
            return stat["anon"] + stat["kernel"]
        return stat["total_rss"] + int(read(self.file("memory", "memory.kmem.usage_in_bytes")))

    def remove(self):
        for folder in self.folders.values():
            with contextlib.suppress(OSError):
                os.rmdir(folder)


class Tree:
    """Stands in where cgroups are not permitted: a process and its children; the memory of kernel and cgroup is unknown."""

    def __init__(self):
        self.root = None

    def enter(self):
        pass

    def pids(self):
        found = [self.root]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    found += [int(child) for child in read(f"/proc/{pid}/task/{task}/children").split()]
        return found

    def cpu(self):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    total += int(read(f"/proc/{pid}/task/{task}/schedstat").split()[0])
        return total

    def memory(self):
        return None

    def remove(self):
        pass


class Seat:
    """A program that is scraped."""

    def __init__(self, name, program, port, collectors, textfiles, group):
        self.name, self.port, self.group = name, port, group
        self.peaks, self.memories, self.latencies = {}, [], []
        arguments = [program, f"--web.listen-address=127.0.0.1:{port}"]
        if collectors:
            arguments += ["--collector.disable-defaults", *(f"--collector.{collector}" for collector in collectors)]
        if not collectors or "textfile" in collectors:
            arguments.append(f"--collector.textfile.directory={textfiles}")
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=group.enter
        )
        if isinstance(group, Tree):
            group.root = self.process.pid
        # The page of what node_exporter tells too, where there is one.
        self.path = "/metrics/node"
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        until = time.monotonic() + 10
        while True:
            try:
                return self.scrape()
            except OSError:
                self.connection.close()
                if self.process.poll() is not None or time.monotonic() > until:
                    self.log.seek(0)
                    sys.exit(f"{self.name} does not answer:\n{self.log.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.05)

    def scrape(self):
        begun = time.monotonic()
        self.connection.request("GET", self.path, headers=HEADERS)
        answer = self.connection.getresponse()
        body = answer.read()
        # node_exporter answers other paths with its landing page.
        if self.path != "/metrics" and "html" in answer.headers.get("Content-Type", ""):
            self.path = "/metrics"
            return self.scrape()
        if answer.status != 200:
            sys.exit(f"{self.name}: {answer.status} {answer.reason}: {body[:300]!r}")
        took = time.monotonic() - begun
        self.sent = len(body)
        self.page = gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
        return took

    def sample(self):
        for pid in self.group.pids():
            with contextlib.suppress(OSError, AttributeError):
                self.peaks[pid] = int(re.search(r"VmHWM:\s+(\d+)", read(f"/proc/{pid}/status"))[1]) << 10
        self.memories.append(self.group.memory())

    def series(self):
        return sum(1 for line in self.page.splitlines() if line and not line.startswith(b"#"))

    def system_calls(self):
        """Per scrape, idle time included; None without strace."""
        with tempfile.NamedTemporaryFile("r") as table:
            pids = [word for pid in self.group.pids() for word in ("-p", str(pid))]
            try:
                strace = subprocess.Popen(
                    ["strace", "-f", "-c", "-o", table.name, *pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            except FileNotFoundError:
                return None
            time.sleep(1)
            for _ in range(STRACED):
                self.scrape()
                time.sleep(1)
            strace.send_signal(signal.SIGINT)
            try:
                strace.wait(10)
            except subprocess.TimeoutExpired:
                strace.kill()
                return None
            # Percent, seconds, microseconds a call, calls, and errors if there were any.
            totals = [line.split() for line in table if line.rstrip().endswith("total")]
            return int(totals[-1][3]) / STRACED if totals else None

    def stop(self):
        self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.group.remove()


def bare_reads(seconds, collectors):
    """Starts the bench that reads the same files once a second."""
    build = subprocess.run(
        ["cargo", "bench", "--no-run", "--bench", "round", "--message-format=json"],
        cwd=os.path.dirname(os.path.abspath(__file__)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
    )
    messages = [json.loads(line) for line in build.stdout.splitlines() if line.startswith(b"{")]
    program = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "round"]
    if build.returncode or not program:
        print("bare reads: the bench could not be built; skipped")
        return None
    return lambda: subprocess.Popen(
        [program[0], "--bare", str(seconds), ",".join(collectors) or "default"], stdout=subprocess.PIPE, text=True
    )


def run(seats, seconds):
    """Scrapes in turn, once a second each; CPU nanoseconds of each seat, and how long it took."""
    for seat in seats * WARM_UP:
        seat.scrape()
        time.sleep(0.2)
    begun, before = time.monotonic(), [seat.group.cpu() for seat in seats]
    for second in range(seconds):
        for number, seat in enumerate(seats):
            time.sleep(max(0, begun + second + number / len(seats) - time.monotonic()))
            seat.latencies.append(seat.scrape())
            seat.sample()
    time.sleep(max(0, begun + seconds - time.monotonic()))
    return [seat.group.cpu() - start for seat, start in zip(seats, before)], time.monotonic() - begun


def figure(number, digits=1):
    return "unknown" if number is None else f"{number:,.{digits}f}"


def report(seats, cpus, wall, calls, bare, cpu_target):
    """Prints the table; whether all targets were met."""
    ours, peer = seats

    def both(get):
        return get(ours), get(peer)

    per_scrape = [cpu / 1e6 / len(seat.latencies) for cpu, seat in zip(cpus, seats)]
    memory = both(lambda s: None if None in s.memories else statistics.median(s.memories) / 1024)
    rows = [
        ("CPU, % of one core", [cpu / 1e7 / wall for cpu in cpus], cpu_target, 3),
        ("CPU per scrape, ms", per_scrape, None, 3),
        ("peak resident set, KiB", both(lambda s: sum(s.peaks.values()) / 1024), 1 / 4, 0),
        ("anonymous and kernel memory, KiB", memory, 1 / 2, 0),
        ("median answer, ms", both(lambda s: statistics.median(s.latencies) * 1000), None, 2),
        ("system calls per scrape", calls, None, 0),
        ("series", both(Seat.series), None, 0),
        ("page, bytes", both(lambda s: len(s.page)), None, 0),
        ("page as sent, bytes", both(lambda s: s.sent), None, 0),
    ]
    print(f"\n{'':34}{ours.name:>14}{peer.name:>16}{'ratio':>9}{'target':>9}")
    well = True
    for name, (a, b), target, digits in rows:
        ratio = a / b if a is not None and b else None
        verdict = ""
        if target:
            is_met = ratio is not None and ratio <= target
            verdict = "met" if is_met else "skipped" if ratio is None else "MISSED"
            well &= verdict != "MISSED"
        wanted = f"1/{1 / target:.0f}" if target else ""
        print(f"{name:34}{figure(a, digits):>14}{figure(b, digits):>16}{figure(ratio, 3):>9}{wanted:>9} {verdict}")
    if bare:
        preads, reopened, files = bare
        print(f"\nbare reads of the same {files:.0f} files once a second, CPU per round:")
        for name, cost in (("preads of kept handles", preads), ("open, read, close", reopened)):
            times = [own * 1000 / cost if cost else None for own in per_scrape]
            print(f"  {name:24}{cost:9.1f} µs; {ours.name} takes {figure(times[0])} times, {peer.name} {figure(times[1])} times")
    return well


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../target"))
    host = next((f for f in os.listdir(target) if os.path.exists(f"{target}/{f}/release/wholenode")), "") if os.path.isdir(target) else ""
    parser.add_argument("--ours", default=os.path.join(target, host, "release/wholenode"), help="our release binary")
    parser.add_argument("--peer", default="prometheus-node-exporter", help="node_exporter's binary")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--collectors", default=COLLECTORS, help="names, separated by blanks or commas; \"default\": whatever each turns on by itself")
    parser.add_argument("--port", type=int, default=19100, help="the first of two ports")
    parser.add_argument("--no-bare", action="store_true", help="without the bare reads, which need cargo")
    options = parser.parse_args()
    of_each = options.collectors.strip() == "default"
    collectors = [] if of_each else re.split(r"[\s,]+", options.collectors.strip())
    start_bare = None if options.no_bare else bare_reads(options.seconds, collectors)

    with tempfile.TemporaryDirectory() as textfiles, contextlib.ExitStack() as stack:
        with open(f"{textfiles}/sample.prom", "w", encoding="ascii") as file:
            file.write("# HELP sample_value A sample.\n# TYPE sample_value gauge\nsample_value{a=\"b\"} 1\n")
        seats = []
        for number, (name, program) in enumerate((("wholenode", options.ours), ("node_exporter", options.peer))):
            try:
                group = Cgroup(f"wholenode-peer-{os.getpid()}-{number}")
            except (OSError, StopIteration) as error:
                print(f"no cgroup of its own for {name} ({error}): memory of cgroup and kernel is skipped")
                group = Tree()
            stack.callback(group.remove)
            seat = Seat(name, program, options.port + number, collectors, textfiles, group)
            stack.callback(seat.stop)
            seats.append(seat)
        reader = start_bare() if start_bare else None
        cpus, wall = run(seats, options.seconds)
        bare = [float(word) for word in reader.communicate()[0].split()] if reader else None
        calls = [seat.system_calls() for seat in seats]
        print(f"{options.seconds} scrapes each in {wall:.1f} s, collectors: {' '.join(collectors) or 'the defaults of each'}")
        return 0 if report(seats, cpus, wall, calls, bare, 1 / 10 if of_each else 1 / 8) else 1


if __name__ == "__main__":
    sys.exit(main())
