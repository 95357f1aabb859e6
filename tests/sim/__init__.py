"""Simulators: servers that break the rules on demand, which real ones do not."""
