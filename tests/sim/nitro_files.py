"""The device's files: added, read and deleted, never overwritten; and where they may be."""

import base64
import binascii
import posixpath
import time

from .nitro_config import verb
from .nitro_errors import NitroError

LOCATIONS = ("/nsconfig", "/nsconfig/ssl", "/var/tmp", "/nsconfig/loginschema")


def ssl_folder(partition):
    """Where certificates and keys are looked for, without a slash at the end."""
    return "/nsconfig/ssl" if partition == "default" else f"/nsconfig/partitions/{partition}/ssl"


def resolve(name, partition):
    """The whole path of a file that a command names, by the file name alone or with its folder."""
    if not name.startswith("/"):
        name = f"{ssl_folder(partition)}/{name}"
    path = posixpath.normpath(name)
    path = path[len("/flash") :] if path.startswith("/flash/") else path
    if partition != "default" and not path.startswith(f"/nsconfig/partitions/{partition}/"):
        raise NitroError(1645, name)
    return path


def location(call, value):
    """A folder that exists and that the session may touch."""
    folder = posixpath.normpath(value)
    folder = folder[len("/flash") :] if folder.startswith("/flash/") else folder
    partition = call.partition
    if partition != "default":
        if not (folder + "/").startswith(f"/nsconfig/partitions/{partition}/"):
            raise NitroError(1645, value)
        if folder != ssl_folder(partition):
            raise NitroError(3440, value)
    elif folder not in LOCATIONS:
        inside = folder.startswith(("/nsconfig/", "/var/"))
        raise NitroError(3440 if inside else 3445, value)
    return folder


def store(node, path, content):
    """Put a file there as a command of the device does; what is there stays."""
    if path in node.files:
        raise NitroError(1642, path)
    node.check_space(len(content))
    node.files[path] = content
    node.file_times[path] = time.time()


@verb(
    "POST", "systemfile", "add system file", required="filename filelocation filecontent",
    optional="fileencoding", positional="filename", status=201,
)  # fmt: skip
def add(call):
    """New files only."""
    args, limits = call.args, call.nitro
    name = args["filename"]
    if "/" in name or name in (".", ".."):
        raise NitroError(1097, f"filename, {name}")
    folder = location(call, args["filelocation"])
    extension = posixpath.splitext(name)[1]
    if limits.extensions is not None and extension not in limits.extensions:
        raise NitroError(3442, name)
    if str(args.get("fileencoding", "BASE64")).upper() != "BASE64":
        raise NitroError(3444, args["fileencoding"])
    try:
        content = base64.b64decode(args["filecontent"], validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise NitroError(3443, "filecontent") from None
    if len(content) > limits.max_file:
        raise NitroError(283, name)
    path = f"{folder}/{name}"
    if path in call.node.files:
        raise NitroError(273, f"filename, {name}")
    store(call.node, path, content)


def _show(call, path, content):
    folder, name = posixpath.split(path)
    stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(call.node.file_times.get(path, 0)))
    return {
        "filename": name, "filelocation": folder, "filesize": str(len(content)),
        "filemode": ["file"], "fileaccesstime": stamp, "filemodifiedtime": stamp,
    }  # fmt: skip


@verb("GET", "systemfile", "show system file")
def show(call):
    """A folder, or one file with what is in it."""
    where = call.given.get("filelocation")
    if not where:
        raise NitroError(1095, "filelocation")
    folder, name = location(call, where), call.given.get("filename") or call.name
    if not name:
        return [
            _show(call, path, content)
            for path, content in call.node.files.items()
            if posixpath.dirname(path) == folder
        ]
    content = call.node.files.get(f"{folder}/{name}")
    if content is None:
        raise NitroError(3441, f"{folder}/{name}")
    shown = _show(call, f"{folder}/{name}", content)
    coded = base64.b64encode(content).decode()
    return [{**shown, "filecontent": coded, "fileencoding": "BASE64"}]


@verb("DELETE", "systemfile", "rm system file", positional="filename")
def remove(call):
    """Also when a certificate still refers to it: that is lost at the next reboot."""
    where, name = call.given.get("filelocation"), call.name or call.given.get("filename")
    if not where or not name:
        raise NitroError(1095, "filelocation" if name else "filename")
    path = f"{location(call, where)}/{name}"
    if path not in call.node.files:
        raise NitroError(3441, path)
    del call.node.files[path]
