#!/usr/bin/python3
"""make bundle: one folder that needs nothing but glibc and a Python, and a tarball of it.

usage: bundle.py FOLDER [--library FILE]... [--loaded NAME]... [--file PATH=FILE]...
                                                                         (FOLDER is made anew)

A --library goes into lib/ with all it needs, but for glibc, and so does a --loaded one, which is
asked for by its name when it is needed, and keeps that; a --file where PATH says. The others get
names that no system has: "ca-ssl.so.3" for libssl.so.3. The dynamic linker takes a name that is
loaded already for the same library, and a Python may have loaded another OpenSSL or libcurl of that
name. Their symbols do not meet either, as extensions are loaded with RTLD_LOCAL. lib/ is found
through the DT_RPATH $ORIGIN of --library files, which counts for what they need too.

All is told on standard output: the oldest glibc it runs on last.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile

# Of glibc: its parts must be of one version, that of the machine.
GLIBC = re.compile(
    r"(linux-vdso|ld-linux[-\w]*|ld64|libc|libm|libmvec|libpthread|libdl|librt|libresolv|libutil"
    r"|libanl|libnsl|libnss_\w+)\.so\.\d+$"
)
NOTE = """\
certauto {version}: libcertauto, what it needs, its Python package, and ControlScripts for Avi.

    import sys
    sys.path.insert(0, "THIS-FOLDER/python")
    import certauto

It may lie in any folder, and needs glibc {glibc} or newer, {machine}, and {python}.
LICENSES has the terms of each library. How it is used on a controller: controlscript.md.
"""


class Bad(Exception):
    """Why there is no bundle."""


def output(*argv):
    """What a program prints."""
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    if run.returncode:
        raise Bad(f"{argv[0]}: {run.stderr.strip()}")
    return run.stdout


def needed(path):
    """The names of the libraries that a file needs."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-dW", path))


def closure(libraries):
    """{name: file} of all that these need, but for glibc."""
    found = {}
    line = re.compile(r"^\s*(\S+) => (.*?)(?: \(0x.*)?$", re.M)
    for library in libraries:
        for name, path in line.findall(output("ldd", library)):
            if GLIBC.match(os.path.basename(name)):
                continue
            if not os.path.isabs(path):
                raise Bad(f"{library} needs {name}: {path}")
            found[name] = path
    return found


def installed(name):
    """The file of a library that no file names as needed."""
    path = output("cc", "-print-file-name=" + name).strip()
    if not os.path.isabs(path):
        raise Bad(f"{name} is not installed")
    return path


def new_name(name):
    """As long as the old one: the tables of the file stay as they are."""
    if not name.startswith("lib"):
        raise Bad(f"{name} cannot be renamed")
    return "ca-" + name[3:]


def rename(path, names):
    """Call libraries by their new names in the string table of a file."""
    table = re.search(
        r"\.dynstr\s+STRTAB\s+[0-9a-f]+\s+([0-9a-f]+)\s+([0-9a-f]+)", output("readelf", "-SW", path)
    )
    start, size = (int(number, 16) for number in table.groups())
    with open(path, "r+b") as file:
        file.seek(start)
        strings = file.read(size).split(b"\0")
        file.seek(start)
        renamed = {old.encode(): new.encode() for old, new in names.items()}
        file.write(b"\0".join(renamed.get(one, one) for one in strings))
    left = [name for name in needed(path) if not GLIBC.match(name) and name in names]
    if left:
        raise Bad(f"{path} still asks for {left}")


def put(source, folder, path):
    """Copy a file into the bundle."""
    target = os.path.join(folder, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)
    return target


def elf_files(folder):
    """The libraries and extensions of a bundle."""
    found = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if re.search(r"\.so(\.|$)", path))


def glibc_of(path):
    """The newest version of glibc that a file asks for."""
    versions = re.findall(r"Name: GLIBC_(\d+(?:\.\d+)+)", output("readelf", "-VW", path))
    return max((tuple(map(int, one.split("."))) for one in versions), default=(0,))


def check(folder):
    """All that is needed is there, under the names it is asked by."""
    there = {os.path.basename(path) for path in elf_files(folder)}
    for path in elf_files(folder):
        missing = [one for one in needed(path) if one not in there and not GLIBC.match(one)]
        if missing:
            raise Bad(f"{path} needs {missing}")
        if re.search(r"\(RUNPATH\)", output("readelf", "-dW", path)):
            raise Bad(f"{path} has a RUNPATH: it hides the RPATH of what needs it")


def licenses(folder, sources):
    """The terms of the libraries, as their packages have them."""
    seen = set()
    for source in sources:
        real = os.path.realpath(source)
        owners = [output_or_none("dpkg-query", "-S", path) for path in (source, real)]
        package = next((one.split(":")[0] for one in owners if one), None)
        terms = f"/usr/share/doc/{package}/copyright"
        if package and package not in seen and os.path.exists(terms):
            put(terms, folder, f"LICENSES/{package}")
        seen.add(package)


def output_or_none(*argv):
    """The same, where a failure, or that there is no such program, is an answer."""
    try:
        return output(*argv)
    except (Bad, OSError):
        return None


def pack(folder):
    """The tarball: the same bytes whenever it is made of the same files."""
    def owned(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    path = folder + ".tar.gz"
    paths = [os.path.join(at, one) for at, *names in os.walk(folder) for one in sum(names, [])]
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for one in sorted([folder, *paths]):
                name = os.path.relpath(one, os.path.dirname(folder))
                archive.add(one, name, recursive=False, filter=owned)
    return path


def manifest(folder):
    """The sum of each file, for sha256sum -c."""
    lines = []
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            lines.append(f"{digest}  {os.path.relpath(path, folder)}\n")
    with open(os.path.join(folder, "SHA256SUMS"), "w", encoding="utf-8") as file:
        file.writelines(sorted(lines, key=lambda line: line.split("  ")[1]))


def build(args):
    """The bundle; returns what there is to say about it."""
    folder = os.path.abspath(args.folder)
    shutil.rmtree(folder, ignore_errors=True)
    loaded = {name: installed(name) for name in args.loaded}
    found = closure([*args.library, *loaded.values()])
    names = {name: new_name(name) for name in found}
    for library in args.library:
        put(library, folder, "lib/" + os.path.basename(library))
    for name, path in found.items():
        put(path, folder, "lib/" + names[name])
    for name, path in loaded.items():
        put(path, folder, "lib/" + name)
    for entry in args.file:
        path, _, source = entry.partition("=")
        put(source, folder, path)
    files = elf_files(folder)
    for path in files:
        rename(path, names)
    check(folder)
    licenses(folder, [*found.values(), *loaded.values()])
    newest = max(map(glibc_of, files))
    glibc = ".".join(map(str, newest))
    why = [os.path.basename(path) for path in files if glibc_of(path) == newest]
    machine, python = os.uname().machine, args.python
    with open(os.path.join(folder, "README"), "w", encoding="utf-8") as file:
        file.write(NOTE.format(version=args.version, glibc=glibc, machine=machine, python=python))
    manifest(folder)
    path = pack(folder)
    size = sum(os.path.getsize(one) for one in files)
    return [
        f"{folder}: {len(files)} libraries, {size / 2**20:.1f} MiB",
        f"{path}: {os.path.getsize(path) / 2**20:.1f} MiB",
        f"runs on {machine} with {python} and glibc {glibc} or newer (for {', '.join(why)})",
    ]


def main():
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="a relocatable bundle", epilog="see the source")
    parser.add_argument("folder")
    parser.add_argument("--library", action="append", default=[], metavar="FILE")
    parser.add_argument("--loaded", action="append", default=[], metavar="NAME")
    parser.add_argument("--file", action="append", default=[], metavar="PATH=FILE")
    parser.add_argument("--version", required=True)
    parser.add_argument("--python", required=True, help="which Pythons, in words")
    try:
        print("\n".join(build(parser.parse_args())))
    except (Bad, OSError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
