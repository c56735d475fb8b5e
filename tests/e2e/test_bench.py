"""The measurements run: every tool of bench/ that sends mail prints its table, over every link, and leaves nothing behind."""
import os
import pathlib
import subprocess
import tempfile

import pytest

from milterdlib import BUILD

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
LINKS = ["--links", "plain,starttls,implicit"]
SHORT = ["--seconds", "0.1", "--warm-up", "0.05"]
# tool, arguments, rows of its tables
RUNS = [
    ("relay", [*LINKS, *SHORT, "--rounds", "1", "--sizes", "1024,102400", "--sessions", "3", "--memory", "--pipeline"], 12),
    ("idle", [*LINKS, "--sessions", "20", "--after", "EHLO"], 3),
    ("connect", [*LINKS, *SHORT, "--rounds", "1"], 5),
    ("latency", [*LINKS, *SHORT, "--sizes", "1024"], 6),
    ("growth", ["--messages", "100", "--warm-up", "0.05"], 11),
]


@pytest.fixture(scope="module", autouse=True)
def programs():
    subprocess.run(["make", "-s", "-C", BUILD, "bench/load", "bench/sink"], check=True, capture_output=True)


@pytest.mark.parametrize("tool,arguments,rows", RUNS, ids=[run[0] for run in RUNS])
def test_every_row_has_figures_and_nothing_is_left(tool, arguments, rows):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own has too long a name for a socket
        done = subprocess.run([BENCH / tool, "--build", BUILD, "--peers", "weir", *arguments], capture_output=True,
                              text=True, timeout=100, env=dict(os.environ, TMPDIR=folder))
        left = os.listdir(folder)
    assert done.returncode == 0 and done.stderr == ""
    table = [line for line in done.stdout.splitlines() if line.startswith("| ") and any(map(str.isdigit, line))]
    assert len(table) == rows
    assert all(cell.strip() not in ("", "no resumption") for line in table for cell in line.split("|")[1:-1])
    assert left == []
