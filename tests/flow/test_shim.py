"""The fault shim does to a process what its variable says, and nothing without it."""

import os
import signal
import subprocess

import pytest
from conftest import BINARY
from fault.shim import Power, built_beside, counted, environment

# Writes two files by way of a temporary, as the store does; prints the errno of what fails.
CHILD = """
import os, sys
def write(name, text):
    try:
        fd = os.open("new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        n = os.write(fd, text)
        os.fsync(fd)
        os.close(fd)
        os.rename("new", name)
        print(name, n)
    except OSError as error:
        print(name, error.errno)
        if os.path.exists("new"):
            os.unlink("new")
folder = os.open(".", os.O_RDONLY)
write("one", b"1111")
os.fsync(folder)
write("two", b"2222")
print("end")
"""


def child(folder, fault=None, **more):
    """Run it in a folder; (status, what it printed)."""
    env = {**os.environ, **environment(built_beside(BINARY), fault, **more)}
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-B", "-c", CHILD],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout.decode().split("\n")[:-1]


def test_shim__does_nothing_unless_told(tmp_path):
    assert child(tmp_path) == (0, ["one 4", "two 4", "end"])
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


@pytest.mark.parametrize(
    "fault, said, files",
    [
        ("write:1:ENOSPC", ["one 28", "two 4", "end"], ["two"]),
        ("write:2:ENOSPC", ["one 4", "two 28", "end"], ["one"]),
        ("fsync:1:sticky-EIO", ["one 5"], []),
        ("rename:*/two:1:EROFS", ["one 4", "two 30", "end"], ["one"]),
        ("rename:*/three:1:EROFS", ["one 4", "two 4", "end"], ["one", "two"]),
        ("create:1:EACCES", ["one 13", "two 4", "end"], ["two"]),
        ("close:1:EIO", ["one 5", "two 4", "end"], ["two"]),
        ("write:1:short", ["one 2", "two 4", "end"], ["one", "two"]),
        ("write:1:eintr", ["one 4", "two 4", "end"], ["one", "two"]),  # Python tries again
    ],
)
def test_shim__lets_the_call_fail(tmp_path, fault, said, files):
    assert child(tmp_path, fault)[1] == said
    assert sorted(os.listdir(tmp_path)) == files


@pytest.mark.parametrize(
    "fault, files",
    [
        ("rename:1:kill-before", ["new"]),
        ("rename:1:kill-after", ["one"]),
        ("rename:2:kill-before", ["new", "one"]),
        ("rename:*/two:1:kill-after", ["one", "two"]),
    ],
)
def test_shim__kills_beside_the_call(tmp_path, fault, files):
    assert child(tmp_path, fault)[0] == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == files


@pytest.mark.parametrize("fault", ["", "write", "write:1", "write:0:EIO", "rite:1:EIO", "write:1:EOI"])
def test_shim__refuses_what_it_does_not_understand(tmp_path, fault):
    assert child(tmp_path, fault)[0] == 99


def test_shim__numbers_the_calls(tmp_path):
    work, path = tmp_path / "work", tmp_path / "count"
    work.mkdir()
    child(work, count=str(path))
    calls = counted(path)
    assert [call.number for call in calls] == list(range(1, len(calls) + 1))
    changes = [(call.kind, call.of_kind) for call in calls if call.kind not in ("open", "read")]
    assert changes == [
        ("create", 1),
        ("write", 1),
        ("fsync", 1),
        ("close", 1),
        ("rename", 1),
        ("fsync", 2),
        ("create", 2),
        ("write", 2),
        ("fsync", 3),
        ("close", 2),
        ("rename", 2),
    ]
    # The same by their number among all.
    last = next(call.number for call in calls if (call.kind, call.of_kind) == ("rename", 2))
    (work / "one").unlink()
    (work / "two").unlink()
    child(work, f"any:{last}:kill-before")
    assert sorted(os.listdir(work)) == ["new", "one"]


@pytest.mark.parametrize("names_kept, content", [(False, {"one": b"1111"}), (True, None)])
def test_shim__tells_what_survives_a_loss_of_power(tmp_path, names_kept, content):
    tree, noted = tmp_path / "tree", tmp_path / "noted"
    tree.mkdir()
    noted.mkdir()
    (tree / "old").write_bytes(b"old")
    power = Power(str(tree), str(noted))
    # The second rename is done, but the folder was not synced since.
    assert child(tree, "rename:2:kill-after", synced=str(noted))[0] == -signal.SIGKILL
    power.fail(names_kept)
    found = {name: (tree / name).read_bytes() for name in os.listdir(tree)}
    assert found == {"old": b"old", **(content or {"one": b"1111", "two": b"2222"})}


def test_shim__content_that_was_not_synced_is_lost(tmp_path):
    tree, noted = tmp_path / "tree", tmp_path / "noted"
    tree.mkdir()
    noted.mkdir()
    power = Power(str(tree), str(noted))
    assert child(tree, "fsync:1:kill-before", synced=str(noted))[0] == -signal.SIGKILL
    power.fail(names_kept=True)
    assert (tree / "new").read_bytes() == b""
