"""The fault shim (shim.c) from Python: its variables, what it counts, what survived."""

import os
import shutil
import stat
from collections import namedtuple

Call = namedtuple("Call", "number kind of_kind path")

# Calls after which nothing is different, for nobody: to die beside one of them is to die beside the
# call before it.
READING = {"open", "read"}
NETWORK = {"connect", "send", "recv"}


def built_beside(binary):
    """The shim that the Makefile builds beside the command."""
    return os.path.join(os.path.dirname(os.path.abspath(binary)), "fault.so")


def environment(shim, fault=None, count=None, synced=None):
    """The variables for a run under the shim."""
    env = {
        "LD_PRELOAD": shim,
        "CERTAUTO_FAULT": fault,
        "CERTAUTO_FAULT_COUNT": count,
        "CERTAUTO_FAULT_SYNCED": synced,
        # It must come before the sanitizers, who would rather be the first.
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
    }
    return {name: value for name, value in env.items() if value is not None}


def counted(path):
    """The calls of a run, as the shim has noted them."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n").split(" ", 3) for line in file]
    return [Call(int(number), kind, int(of_kind), path) for number, kind, of_kind, path in lines]


class Power:
    """A tree of which only what was synced survives; folder is where the shim notes that."""

    def __init__(self, tree, folder):
        self.tree, self.folder = tree, folder
        for parent, folders, files in os.walk(tree):
            self._note_names(parent, folders + files)
            for name in files:
                path = os.path.join(parent, name)
                if stat.S_ISREG(os.lstat(path).st_mode):
                    shutil.copyfile(path, self._noted(os.lstat(path).st_ino))

    def _noted(self, inode):
        return os.path.join(self.folder, str(inode))

    def _note_names(self, parent, names):
        with open(self._noted(os.stat(parent).st_ino), "w", encoding="utf-8") as file:
            file.writelines(self._line(os.path.join(parent, name)) for name in names)

    @staticmethod
    def _line(path):
        status = os.lstat(path)
        target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
        return f"{status.st_mode:o} {status.st_ino} {os.path.basename(path)}\t{target}\n"

    def fail(self, names_kept):
        """Leave of the tree what a loss of power would.

        With names_kept the names have reached the disk without a sync, as file systems are free to
        do, and only the content of files has not.
        """
        rest = self.tree + ".rest"
        self._rebuild(self.tree, os.stat(self.tree).st_ino, rest, names_kept)
        shutil.rmtree(self.tree)
        os.rename(rest, self.tree)

    def _names(self, path, inode, names_kept):
        if names_kept:
            return [self._line(os.path.join(path, name)) for name in os.listdir(path)]
        try:
            with open(self._noted(inode), encoding="utf-8") as file:
                return list(file)
        except FileNotFoundError:
            return []

    def _rebuild(self, path, inode, to, names_kept):
        os.mkdir(to, 0o700)
        for line in self._names(path, inode, names_kept):
            mode, number, rest = line.rstrip("\n").split(" ", 2)
            name, target = rest.split("\t")
            mode, source = int(mode, 8), os.path.join(path, name)
            entry = os.path.join(to, name)
            if stat.S_ISDIR(mode):
                self._rebuild(source, number, entry, names_kept)
            elif stat.S_ISLNK(mode):
                os.symlink(target, entry)
            elif stat.S_ISREG(mode):
                if os.path.exists(self._noted(number)):
                    shutil.copyfile(self._noted(number), entry)
                else:
                    open(entry, "wb").close()
                os.chmod(entry, stat.S_IMODE(mode))
