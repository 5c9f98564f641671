"""What `import shiftboss` costs, beside the import of what it cannot do without: asyncio, sqlite3, json, logging.

    python benchmarks/import_time.py [--rounds 15] [--dear 12] [--json]

Each import is made by a fresh interpreter that measures itself, in CPU time: other processes disturb that the least.
All read compiled bytecode from a folder of their own, as they would once installed, written in a round that does not
count.  What is only put off shows in the later cases: `named` uses a public name, which the package imports then, and
`declared` goes on to one worker with a schedule; `help` is the command's.  Rounds take turns; medians are printed, and
the modules of `declared` that cost most by themselves (`python -X importtime`, least of three).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

AIM = 1.5
LIMIT = "limit"
CASES = {
    LIMIT: "import asyncio, sqlite3, json, logging",
    "import": "import shiftboss",
    "named": "from shiftboss import Orchestrator",
    "declared": (
        "import shiftboss\n"
        "boss = shiftboss.Orchestrator()\n"
        "async def tick(): ...\n"
        "boss.register('tick', tick, every=60)"
    ),
    "help": (
        "import contextlib, io, sys\n"
        "sys.argv[1:] = ['--help']\n"
        "from shiftboss.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main()"
    ),
}
MEASURED = """
import time
before = time.process_time()
{code}
print(time.process_time() - before)
"""


def fresh(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True)


def cpu_ms(code: str, environment: dict[str, str]) -> float:
    return float(fresh("-c", MEASURED.format(code=code), environment=environment).stdout) * 1000


def own_ms(code: str, environment: dict[str, str]) -> dict[str, float]:
    """Module → what it costs without those that it imports."""
    least: dict[str, float] = {}
    for _ in range(3):
        lines = fresh("-X", "importtime", "-c", code, environment=environment).stderr.splitlines()
        for line in lines[1:]:
            own_us, _, name = line.removeprefix("import time:").split("|")
            least[name.strip()] = min(least.get(name.strip(), float("inf")), int(own_us) / 1000)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dear", type=int, default=12, help="how many modules to show")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for code in CASES.values():
            cpu_ms(code, environment)
        for _ in range(options.rounds):
            for name, code in CASES.items():
                taken[name].append(cpu_ms(code, environment))
        limit = own_ms(CASES[LIMIT], environment)
        own = {name: ms for name, ms in own_ms(CASES["declared"], environment).items() if name not in limit}
    ms = {name: statistics.median(each) for name, each in taken.items()}
    ratios = {name: round(ms[name] / ms[LIMIT], 2) for name in CASES if name != LIMIT}
    dear = sorted(own.items(), key=lambda item: -item[1])[: options.dear]
    if options.json:
        print(json.dumps({"ms": {name: round(each, 1) for name, each in ms.items()}, "ratios": ratios, "aim": AIM}))
        return
    for name, each in taken.items():
        print(f"{name:10} {ms[name]:6.1f} ms CPU [{min(each):.1f}–{max(each):.1f}]")
    print(f"import shiftboss / limit: {ratios.pop('import'):.2f} (aim: at most {AIM}); ", end="")
    print("; ".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()))
    print("dearest beyond the limit: " + ", ".join(f"{name} {own_ms:.1f}" for name, own_ms in dear))


if __name__ == "__main__":
    main()
