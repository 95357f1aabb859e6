"""What the Python package costs: import, memory, calls.

Each figure is that of a fresh interpreter, the best of several; memory is above a bare one.
"""

import os
import subprocess

MEMORY = "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20\n"
BARE = MEMORY + "print(rss())"
IMPORT = "import time; t = time.perf_counter(); import certauto; t = time.perf_counter() - t\n" \
    + MEMORY + "print(t * 1000, rss())"
CONTEXT = "import certauto; cx = certauto.Context(); cx.run(0)\n" + MEMORY + "print(rss())"
CALLS = """
import timeit, certauto
c = certauto._c
cx = certauto.Context()
key = cx.key()
raw = key._h
csr = cx.csr(key, ["a.example.org"])
n = 100_000
one = lambda text: min(timeit.repeat(text, globals=globals(), number=n, repeat=3)) / n * 1e6
def fail():
    try:
        c.certauto_key_new(cx._h, "x")
    except certauto.Invalid:
        pass
print(one("c.certauto_key_type(raw)"), one("key.type"), one("key.public()"),
      one("csr.names"), min(timeit.repeat(fail, number=10_000, repeat=3)) / 10_000 * 1e6)
"""


def measure(python, package, repeat=10):
    """The figures, by name; package: the folder that has it."""
    # As an installed package is: with compiled files, which a first run writes.
    env = {**os.environ, "PYTHONPATH": package}
    env.pop("PYTHONDONTWRITEBYTECODE", None)

    def figures(code):
        run = subprocess.run(
            [python, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        return [float(word) for word in run.stdout.split()]

    figures("import certauto")
    bare = min(figures(BARE)[0] for _ in range(repeat))
    imports = [figures(IMPORT) for _ in range(repeat)]
    context = min(figures(CONTEXT)[0] for _ in range(repeat))
    calls = [min(column) for column in zip(*[figures(CALLS) for _ in range(min(repeat, 3))])]
    names = ("property_us", "facade_us", "bytes_us", "list_us", "error_us")
    return {
        "import_ms": min(one[0] for one in imports),
        "import_mib": min(one[1] for one in imports) - bare,
        "context_mib": context - bare,
        **dict(zip(names, calls)),
    }
