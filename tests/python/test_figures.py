"""What the package costs. Generous where the machine may be busy: make bench has the goals."""

import sys

from conftest import PACKAGE

from bench import binding


def test_figures__import_memory_and_calls():
    figures = binding.measure(sys.executable, PACKAGE, repeat=3)
    assert figures["import_ms"] < 150
    assert figures["import_mib"] < 11.0
    assert figures["context_mib"] < 13.0
    for call in ("property_us", "facade_us", "bytes_us"):
        assert figures[call] < 2
