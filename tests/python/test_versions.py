"""Every Python that is found here, from 3.8 on: the extension is built for it, and works."""

import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys

import pytest
from conftest import PACKAGE, ROOT

LIBRARY = os.path.abspath(os.path.dirname(PACKAGE))
VERSIONS = [(3, minor) for minor in range(8, 14)]
HEADERS = "import sysconfig, os; d = sysconfig.get_paths()['include']; " \
    "print(os.path.exists(d + '/Python.h') and d, sysconfig.get_config_var('EXT_SUFFIX'))"


def _interpreters():
    """{version: program} of what is here and could run an extension of ours."""
    folders = ["/usr/bin", "/usr/local/bin", *os.get_exec_path()]
    # pyenv puts shims on PATH, which may lead to another version, or nowhere.
    pyenvs = {os.path.dirname(folder) for folder in folders if folder.endswith("/shims")}
    pyenvs |= {os.path.expanduser("~/.pyenv"), "/opt/pyenv", os.environ.get("PYENV_ROOT", "/none")}
    found = {}
    for version in ("%d.%d" % version for version in VERSIONS):
        names = [f"{folder}/python{version}" for folder in folders if "/shims" not in folder]
        for pyenv in sorted(pyenvs):
            names += sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python"))
        usable = (name for name in names if os.access(name, os.X_OK))
        found[tuple(map(int, version.split(".")))] = next(usable, None)
    return found


def _copy_package(folder):
    """The package without its extension; returns where."""
    package = folder / "certauto"
    ours = os.path.join(PACKAGE, "certauto")
    shutil.copytree(ours, package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return package


def _build(python, folder):
    """The package for an interpreter; why not, if it cannot be."""
    run = subprocess.run([python, "-c", HEADERS], capture_output=True, text=True, check=False)
    include, _, suffix = run.stdout.strip().partition(" ")
    if run.returncode or include in ("False", ""):
        return f"{python} has no headers"
    package = _copy_package(folder)
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O0", "-w", "-fPIC", "-shared", "-I" + include,
         "-I" + os.path.join(ROOT, "include"), os.path.join(PACKAGE, "swig", "certauto_wrap.c"),
         "-o", package / ("_certauto" + suffix), "-L" + LIBRARY, "-lcertauto"],
        check=True,
    )  # fmt: skip
    return None


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory):
    """{version: (program, folder or None, why not)}, built side by side."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {}
        for version, python in _interpreters().items():
            folder = tmp_path_factory.mktemp("py%d%d" % version)
            if python is not None:
                jobs[version] = python, folder, pool.submit(_build, python, folder)
        return {
            version: (python, folder, job.result())
            for version, (python, folder, job) in jobs.items()
        }


def _smoke(python, version, folder, ca, tmp_path):
    """The tour, with warnings as errors."""
    (tmp_path / "webroot").mkdir()
    run = subprocess.run(
        [python, "-B", "-W", "error", os.path.join(ROOT, "tests", "python", "smoke.py"),
         ca.directory, ca.ca_file, str(tmp_path / "webroot")],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "LD_LIBRARY_PATH": LIBRARY},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, "ok %d.%d\n" % version), run.stderr


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: "%d.%d" % version)
def test_version__built_for_it(built, ca, tmp_path, version):
    if version not in built:
        pytest.skip("skipped: there is no Python %d.%d here" % version)
    python, folder, why_not = built[version]
    if why_not:
        pytest.skip("skipped: " + why_not)
    _smoke(python, version, folder, ca, tmp_path)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: "%d.%d" % version)
def test_version__one_build_for_all(ca, tmp_path, version):
    """An extension for the stable ABI: CERTAUTO_ABI3, or the one that was built here."""
    ours = glob.glob(os.path.join(PACKAGE, "certauto", "_certauto.abi3.so"))
    extension = os.environ.get("CERTAUTO_ABI3") or (ours[0] if ours else None)
    python = _interpreters()[version]
    if extension is None:
        pytest.skip("skipped: no build for the stable ABI")
    if python is None:
        pytest.skip("skipped: there is no Python %d.%d here" % version)
    shutil.copy(extension, _copy_package(tmp_path))
    _smoke(python, version, tmp_path, ca, tmp_path)


def _import(folder):
    """What the import says: its last line."""
    run = subprocess.run(
        [sys.executable, "-B", "-c", "import certauto"], env={"PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1 and "During handling" not in run.stderr, run.stderr
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize("suffix, words", [
    (".cpython-399-x86_64-linux-gnu.so", "is for Python 3.99 on x86_64"),
    (".cpython-399t-riscv64-linux-gnu.so", "is for Python 3.99t on riscv64"),
    (".pypy39-pp73-x86_64-linux-gnu.so", "is for another Python (.pypy39"),
])  # fmt: skip
def test_version__an_extension_for_another_python_says_so(tmp_path, suffix, words):
    (_copy_package(tmp_path) / ("_certauto" + suffix)).touch()
    said = _import(tmp_path)
    assert said.startswith("ImportError: certauto: the extension in ") and words in said
    assert "this is Python %d.%d on" % sys.version_info[:2] in said
    assert f"make bundle PYTHON={sys.executable}" in said and "SWIG 4.2" in said
    assert "circular" not in said


def test_version__an_extension_that_is_not_there_or_broken_says_so(tmp_path):
    package = _copy_package(tmp_path)
    assert "has no extension _certauto" in _import(tmp_path)
    (package / "_certauto.abi3.so").write_bytes(b"no library")
    assert "_certauto.abi3.so" in _import(tmp_path)


def test_version__this_one_is_supported():
    assert sys.version_info[:2] in VERSIONS
