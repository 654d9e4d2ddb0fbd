#!/usr/bin/env python3
"""Writes layout.often.ld, the order of the program's code, from what a daemon on this machine uses of it.

It builds the program with its symbols and a map of the linker's, starts it with a breakpoint at each function, and notes
which are entered: by pages, by the first pages, and by the start. It needs an x86_64 with lld, which is Rust's linker there,
and root, for the cgroups of a few containers (version 1). What it writes serves all architectures and later versions: a line
that nothing matches does no harm.
"""

import ctypes
import http.client
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYOUT = os.path.join(ROOT, "layout.often.ld")
TARGET = "x86_64-unknown-linux-gnu"
ADDRESS = "127.0.0.1:9958"
HEADERS = {
    "Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "User-Agent": "Prometheus/3.0.0",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
# The collectors of peer.py, beside the defaults.
FEW = "stat cpu loadavg meminfo netdev filesystem hwmon textfile mdadm pressure softnet uname time".split()
CGROUPS = [f"/sys/fs/cgroup/{tree}/docker" for tree in ("cpu", "cpuacct", "memory", "blkio", "pids")]

# sys/ptrace.h: requests, an event, and to tell system calls, follow what is forked, cloned and executed, and end it all with
# the tracer. sys/user.h: places of registers. madvise(2).
TRACEME, GETREGS, SETREGS, GO_ON, SETOPTIONS = 0, 12, 13, 24, 0x4200
EXECUTED = 4
FOLLOW = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000
RDX, CALL, RIP = 12, 15, 16
MADVISE, DONTNEED = 28, 4
ALL_THREADS = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Sections:
    """Where each piece of code is, by the linker's map."""

    LINE = re.compile(r"\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ {9}(\S.*):\((\.text[^)]*)\)$")

    def __init__(self, path):
        with open(path, errors="replace") as lines:
            found = [match for match in map(self.LINE.match, lines) if match and int(match[2], 16)]
        self.all = sorted((int(line[1], 16), int(line[2], 16), self.pattern(line[3], line[4])) for line in found)
        self.sizes = {}
        for _, size, pattern in self.all:
            self.sizes[pattern] = self.sizes.get(pattern, 0) + size

    @staticmethod
    def pattern(file, section):
        """How the linker is told of a section, without what differs from one build or compiler to the next."""
        member = re.search(r"(lib[a-z_]+\.a)\(([^)]*)\)$", file)
        if member and not section.startswith(".text._"):
            # Of some functions there is one for each kind of processor.
            name = re.sub(r"^((?:mem|str)[a-z]+)-.*", r"\1-*.o", member[2])
            return f"*{member[1]}:{name}(.text .text.*)"
        if section == ".text":
            return None
        section = re.sub(r"17h[0-9a-f]{16}E.*", "17h*", section)
        section = re.sub(r"Cs[0-9A-Za-z]{6,}_", "Cs*_", section)
        section = re.sub(r"\.llvm\.\d+", "*", section)
        return f"*({section})"

    def order(self, functions):
        """The patterns of these functions in the order in which they were entered; those that mean much else too, last."""
        used, order = {}, []
        for address in functions:
            low, high = 0, len(self.all)
            while low < high:
                middle = (low + high) // 2
                low, high = (middle + 1, high) if self.all[middle][0] <= address else (low, middle)
            start, size, pattern = self.all[low - 1]
            if low and start <= address < start + size and pattern:
                order.append(pattern)
                used.setdefault(pattern, {})[start] = size
        means_little_else = lambda pattern: sum(used[pattern].values()) * 3 >= self.sizes[pattern] * 2
        order = list(dict.fromkeys(order))
        return [p for p in order if means_little_else(p)] + [p for p in order if not means_little_else(p)]


class Traced:
    """The program and its child, with a breakpoint at each function until it is entered."""

    def __init__(self, binary, arguments, functions):
        self.binary, self.functions, self.arguments = binary, sorted(functions), arguments
        self.entered, self.spaces, self.groups = {}, {}, {}
        self.must_arm = False
        self.known = set(functions)

    def start(self):
        # No window in which it is not traced.
        self.process = subprocess.Popen(
            [self.binary] + self.arguments,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: libc.ptrace(TRACEME, 0, None, None) and os._exit(1),
        )

    def end(self):
        """Ends it and its child, so that nobody takes what they still do for another's."""
        self.process.kill()
        try:
            while True:
                pid, status = os.waitpid(-1, ALL_THREADS)
                if os.WIFSTOPPED(status):
                    os.kill(self.groups.get(pid, pid), signal.SIGKILL)
                    libc.ptrace(GO_ON, pid, None, None)
        except (ChildProcessError, ProcessLookupError):
            pass

    def space(self, group):
        """Where the program is in a process, its memory, and the bytes that breakpoints are in the place of."""
        if group not in self.spaces:
            lines = [line.split() for line in open(f"/proc/{group}/maps") if line.rstrip().endswith(self.binary)]
            if not lines:
                return None
            base = int(lines[0][0].split("-")[0], 16)
            self.spaces[group] = [base, open(f"/proc/{group}/mem", "r+b", buffering=0), {}]
        return self.spaces[group]

    def arm(self, group):
        base, memory, bytes_there = self.space(group)
        first, last = self.functions[0], self.functions[-1]
        memory.seek(base + first)
        code = bytearray(memory.read(last - first + 1))
        for address in self.functions:
            bytes_there.setdefault(address, code[address - first])
            code[address - first] = 0xCC
        memory.seek(base + first)
        memory.write(code)

    def run(self, is_done):
        """Follows it, on the thread that started it."""
        registers = (ctypes.c_ulonglong * 32)()
        while not is_done():
            if self.must_arm:
                self.must_arm = False
                for group in [group for group, space in self.spaces.items() if space[2] and os.path.exists(f"/proc/{group}")]:
                    self.arm(group)
            pid, status = os.waitpid(-1, os.WNOHANG | ALL_THREADS)
            if pid == 0:
                time.sleep(0.0005)
            elif os.WIFSTOPPED(status):
                libc.ptrace(GO_ON, pid, None, self.stopped(pid, os.WSTOPSIG(status), status >> 16, registers))

    def stopped(self, pid, number, event, registers):
        """What to do about a stop; the signal that is passed on."""
        if pid not in self.groups:
            lines = [line.split() for line in open(f"/proc/{pid}/status")]
            self.groups[pid] = next(int(line[1]) for line in lines if line[0] == "Tgid:")
        group = self.groups[pid]
        is_first = pid == self.process.pid and not self.spaces and number == signal.SIGTRAP
        if is_first or event == EXECUTED:
            libc.ptrace(SETOPTIONS, pid, None, FOLLOW)
            self.spaces.pop(group, None)
            self.arm(group)
        elif number == signal.SIGTRAP | 0x80:
            # The program gives back its code when it has started, and all breakpoints would go with it.
            libc.ptrace(GETREGS, pid, None, registers)
            if registers[CALL] == MADVISE and registers[RDX] == DONTNEED:
                registers[RDX] = 0
                libc.ptrace(SETREGS, pid, None, registers)
            return 0
        elif number == signal.SIGTRAP and event == 0:
            libc.ptrace(GETREGS, pid, None, registers)
            base, memory, _ = self.space(group)
            address = registers[RIP] - 1 - base
            if address not in self.known:
                return number
            originals = next(space[2] for space in self.spaces.values() if space[2])
            memory.seek(base + address)
            memory.write(bytes([originals[address]]))
            registers[RIP] -= 1
            libc.ptrace(SETREGS, pid, None, registers)
            self.entered.setdefault(address, len(self.entered))
        return 0 if event or number in (signal.SIGTRAP, signal.SIGSTOP) else number


def wait_for(connection):
    for _ in range(300):
        try:
            return connection.connect()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nobody answers at {ADDRESS}")


def entered(binary, functions, arguments):
    """What is entered by pages as they come, by the first ones, and by the start."""
    traced = Traced(binary, [f"--web.listen-address={ADDRESS}"] + arguments, functions)
    phases, done = [], threading.Event()

    def phase():
        time.sleep(1)
        phases.append(list(traced.entered))
        traced.entered.clear()
        traced.must_arm = True
        while traced.must_arm:
            time.sleep(0.01)

    def get(connection, path):
        connection.request("GET", path, headers=HEADERS)
        answer = connection.getresponse()
        length = len(answer.read())
        print(f"{path}: {answer.status}, {length} bytes, {len(traced.entered)} functions")
        if answer.status != 200:
            raise RuntimeError(f"{path}: status {answer.status}, expected 200")

    def ask():
        try:
            connection = http.client.HTTPConnection(ADDRESS, timeout=60)
            wait_for(connection)
            for pages in (0, 4, 8):
                for _ in range(pages):
                    get(connection, "/metrics")
                    # As a kubelet does.
                    get(probe := http.client.HTTPConnection(ADDRESS, timeout=60), "/-/healthy")
                    probe.close()
                    time.sleep(1)
                phase()
        finally:
            done.set()

    traced.start()
    threading.Thread(target=ask, daemon=True).start()
    traced.run(done.is_set)
    traced.end()
    if len(phases) != 3 or not all(phases):
        raise SystemExit("not all was seen; is ptrace allowed here?")
    started, first, steady = phases
    return steady, first, started


def build(folder):
    """The program with its symbols, and the map."""
    path = os.path.join(folder, "map")
    command = ["cargo", "rustc", "--release", "--bin", "wholenode", "--target", TARGET, "--message-format=json"]
    command += ["--", "-C", f"link-arg=-Wl,-Map={path}"]
    environment = os.environ | {"CARGO_PROFILE_RELEASE_STRIP": "none"}
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    binary = re.findall(r'"executable":"([^"]+)"', output)[-1]
    symbols = subprocess.run(["readelf", "-sW", binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    words = [line.split() for line in symbols.splitlines()]
    functions = {int(w[1], 16) for w in words if len(w) > 7 and w[3] in ("FUNC", "IFUNC") and w[6].isdigit() and int(w[2], 0)}
    return binary, Sections(path), functions


def main():
    for parent in CGROUPS:
        if not os.path.ismount(os.path.dirname(parent)) or os.path.exists(parent):
            raise SystemExit(f"{parent} can't be made: expected version 1 of cgroups, and no Docker")
    with tempfile.TemporaryDirectory() as folder:
        binary, sections, functions = build(folder)
        containers = [f"{parent}/{number:064x}" for parent in CGROUPS for number in range(4)]
        try:
            for container in containers:
                os.makedirs(container)
            few = ["--collector.disable-defaults"] + [f"--collector.{name}" for name in FEW]
            few.append(f"--collector.textfile.directory={folder}")
            with open(os.path.join(folder, "backup.prom"), "w") as file:
                file.write('# HELP backup_size_bytes Size.\n# TYPE backup_size_bytes gauge\nbackup_size_bytes{disk="a"} 1.5e9\nbackup_ok 1\n')
            runs = [entered(binary, functions, few), entered(binary, functions, [])]
        finally:
            for container in filter(os.path.isdir, containers + CGROUPS):
                os.rmdir(container)
        lines = []
        for when, all_of in zip(("pages as they come", "the first pages", "the start"), zip(*runs)):
            order = [pattern for pattern in sections.order([function for of in all_of for function in of]) if pattern not in lines]
            print(f"{when}: {len(order)} patterns, {sum(sections.sizes[pattern] for pattern in order)} bytes")
            lines += [f"/* What is used by {when}. */"] + order
        with open(LAYOUT, "w") as file:
            file.write("/* What a scraped node uses, function by function. Written by benches/layout.py. */\n")
            file.write("SECTIONS {\n  .text.often : {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n}\nINSERT AFTER .text;\n")


if __name__ == "__main__":
    main()
