"""Real servers for the tests and the demo: Pebble, HAProxy, nginx, on loopback ports of
their own.

Every server is a context manager; Lab brings up what most callers want. All state lives in one
temporary folder and nothing is left running, whichever way the block is left. Standard library
only.
"""
