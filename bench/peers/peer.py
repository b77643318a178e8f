"""What the peer scripts share: how they are run, and how they talk to d4m bench.

A script prints one line of JSON when it is ready, {"ready": NAME}. Then it answers every line on its standard
input with one line of JSON, {"seconds": ..., "peak_bytes": ...}. With --rounds N it asks itself, N times, and ends.
Only imports of the standard library here: what is missing must be said, not crash."""
import argparse
import importlib
import json
import os
import resource
import sys

INSTALL = {
    "torch": "pip install torch==2.13.0",
    "numpy": "pip install numpy",
    "dynamic_network_architectures": "pip install dynamic-network-architectures timm",
    "nnunetv2": "pip install nnunetv2",
    "batchgeneratorsv2": "pip install batchgeneratorsv2",
}
chatter = sys.stdout


def say(answer):
    """One line to d4m; what libraries print goes elsewhere (see start)."""
    chatter.write(json.dumps(answer) + "\n")
    chatter.flush()


def options(*more):
    """Parses the command line: --threads and --rounds, and what `more` [(flags, keywords)] adds."""
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=0)
    for name, keywords in more:
        p.add_argument(name, **keywords)
    return p.parse_args()


def need(*names):
    """Imports modules; where one is missing, says which and how to install it, and ends."""
    global chatter
    chatter = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library's own prints must not mix with the answers
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except ImportError as e:
            package = name.split(".")[0]
            say({"missing": name, "why": str(e), "install": INSTALL.get(package, "pip install " + package)})
            sys.exit(2)
    return found


def skip(why):
    say({"skip": why})
    sys.exit(0)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(name, work, rounds=0):
    """work(request) returns the seconds of one round, or a whole answer."""
    say({"ready": name})
    for line in ["{}"] * rounds if rounds else sys.stdin:
        answer = work(json.loads(line))
        if not isinstance(answer, dict):
            answer = {"seconds": answer}
        say({**answer, "peak_bytes": peak_bytes()})


def version(package):
    import importlib.metadata
    return importlib.metadata.version(package)


class Pool:
    """N forked processes that run work(i) whenever they are asked; run() returns their results."""

    def __init__(self, n, work):
        import multiprocessing
        context = multiprocessing.get_context("fork")
        self.ends = []
        for i in range(n):
            here, there = context.Pipe()
            context.Process(target=self._loop, args=(there, work, i), daemon=True).start()
            self.ends.append(here)

    @staticmethod
    def _loop(end, work, i):
        while True:
            end.recv()
            end.send(work(i))

    def run(self):
        for end in self.ends:
            end.send(None)
        return [end.recv() for end in self.ends]
