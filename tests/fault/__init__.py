"""Faults from below: calls that fail, processes that die, power that goes."""
