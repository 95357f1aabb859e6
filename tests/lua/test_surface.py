"""The whole of the public interface can be reached from Lua; it can be installed, and is a rock."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import MODULE, ROOT, VERSIONS, Lua
from test_docs import TEXT

sys.path[:0] = [os.path.join(ROOT, "bindings", "swig"), os.path.join(ROOT, "tools")]
FOLDER = os.path.join(ROOT, "bindings", "lua")
ROCK = os.path.join(FOLDER, "certauto-0.1.0-1.rockspec")

# What core does not have as a function, and where it is instead.
ELSEWHERE = re.compile(
    r"certauto_(\w+_free"  # close(), and the collector
    r"|error_(?!name$|text$)\w+"  # the table of an error
    r"|(?!event)\w+_context)$"  # object.context
)

# What only core has: no use for it where a failure comes with its error.
CORE_ONLY = {"certauto_context_error"}

LIST = """
for name in pairs(require "certauto.core") do print(name) end
for name, value in pairs(require "certauto") do print("certauto." .. name, value) end
"""


@pytest.fixture(scope="module", name="api")
def _api():
    """{name: Function} of the headers, which are read from the top."""
    before = os.getcwd()
    os.chdir(ROOT)
    import generate

    yield generate
    os.chdir(before)


@pytest.fixture(scope="module", name="facade")
def _facade():
    """The text of what is written in Lua."""
    texts = []
    for folder, _, names in os.walk(FOLDER):
        for name in names:
            if name.endswith(".lua"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    texts.append(file.read())
    return "\n".join(texts)


def used_by(facade):
    """Functions of core that are called, also those whose names are put together."""
    used = set(re.findall(r"\bcore\.(certauto_\w+)", facade))
    for fields, prefix in re.findall(
        r'ipairs \{ ("[^}]*") \} do\n[^\n]*\n\t\treturn core\["(certauto_\w+)" \.\. field\]', facade
    ):
        used |= {prefix + field for field in re.findall(r'"(\w+)"', fields)}
    return used


def test_surface__each_function_is_in_core(lua, api, tmp_path):
    (tmp_path / "list.lua").write_text(LIST)
    lines = lua.run(tmp_path / "list.lua").split("\n")
    calls = api.functions()
    assert len(calls) > 150
    missing = [
        call.name for call in calls if call.name not in lines and not ELSEWHERE.match(call.name)
    ]
    assert missing == []
    for name, value in [*api.constants(), *[row[:2] for row in api.error_rows()]]:
        assert f"certauto.{name.replace('CERTAUTO_', '')}\t{value}" in lines, name
    # Nothing that the headers do not have, but for what makes an end and tells the time.
    own = {name for name in lines if re.fullmatch(r"\w+", name) and not name.startswith("CERTAUTO_")}
    own -= {call.name for call in calls} | {f"certauto_{noun}" for noun in api.nouns(calls)}
    assert {name for name in own if not name.startswith("certauto_")} == {
        "close", "mistake", "now", "ours"
    }  # fmt: skip


def test_surface__each_function_is_used_by_the_facade(api, facade):
    used = used_by(facade)
    names = {call.name for call in api.functions()}
    assert used <= names
    for name in sorted(names - used - CORE_ONLY):
        twin = re.sub(r"^(certauto_[a-z]+)_", r"\1_start_", name)
        assert ELSEWHERE.match(name) or twin in used or name == "certauto_order_run", name


def test_docs__each_method_and_property_is_named(facade):
    told = set(re.findall(r"\w+", TEXT))
    methods = set(re.findall(r"^function \w+\.(?:methods|properties)\.(\w+)", facade, re.M))
    methods |= set(re.findall(r'verb\((?:\w+, )?"(\w+)"', facade))
    assert len(methods) > 60
    assert {name for name in methods - told if not name.startswith("start_")} <= {"closed"}
    for name in re.findall(r"X\((E\w+),", open_text("include/certauto/error.h")):
        assert name in told


def open_text(path):
    """The text of a file of the sources."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


# ---- installed ----


def _make(lua, *args):
    env = {**os.environ, "BUILD": os.path.dirname(MODULE), "MAKEFLAGS": "", "MAKELEVEL": ""}
    argv = ["make", "-C", ROOT, "-s", *args, "LUA_VERSIONS=" + lua.version]
    run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def _version(lua, share, lib, libraries):
    """What a program prints that uses what is there."""
    found = lua.env.copy()
    found.update(LUA_PATH=f"{share}/?.lua", LUA_CPATH=f"{lib}/?.so", LD_LIBRARY_PATH=libraries)
    argv = [lua.program, "-e", 'print(require("certauto").context {}, require("certauto")._VERSION)']
    return subprocess.run(argv, env=found, capture_output=True, text=True, check=True).stdout


def test_install__has_all_files(lua, tmp_path):
    _make(lua, "install-lua", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    share, lib = (tmp_path / "usr" / part / "lua" / lua.version for part in ("share", "lib"))
    built = os.path.dirname(MODULE)
    out = _version(lua, share, lib, built)
    assert re.fullmatch(r"<certauto.Context>\t[\d.]+\n", out)
    with open(lib / "certauto" / "core.so", "rb") as file:
        assert b"$ORIGIN" not in file.read()


def test_rock__its_version_is_that_of_the_library():
    (version,) = re.findall(r'CERTAUTO_VERSION "([\d.]+)"', open_text("include/certauto/version.h"))
    text = open_text(os.path.relpath(ROCK, ROOT))
    assert f'version = "{version}-1"' in text and f"certauto-{version}-1" in os.path.basename(ROCK)


def test_rock__is_a_rockspec(lua, tmp_path):
    (tmp_path / "rock.lua").write_text(
        "local spec = {}\n"
        f"local chunk = assert(loadfile({ROCK!r}, 't', spec))\n"
        "if setfenv then setfenv(chunk, spec) end\n"
        "chunk()\n"
        "print(spec.package, spec.version, spec.build.build_target, spec.build.install_target)\n"
    )
    out = lua.run(tmp_path / "rock.lua").split()
    assert "-".join(out[:2]) + ".rockspec" == os.path.basename(ROCK)
    rules = open_text("bindings/lua.mk")
    assert all(re.search(rf"^{target}:", rules, re.M) for target in out[2:])


def test_rock__is_made_without_the_network(tmp_path):
    there = [lua for lua in map(Lua, VERSIONS) if lua.is_there()]
    luarocks = os.environ.get("LUAROCKS", "luarocks")
    if not there or not shutil.which(luarocks):
        pytest.skip(f"skipped: Lua or {luarocks} is not installed")
    lua = there[-1]
    prefix = tmp_path / "prefix"
    (prefix / "lib").mkdir(parents=True)
    shutil.copytree(os.path.join(ROOT, "include"), prefix / "include")
    for name in ("libcertauto.so", "libcertauto.so.0"):
        shutil.copy(os.path.join(os.path.dirname(MODULE), name), prefix / "lib", follow_symlinks=True)
    env = {**os.environ, "BUILD": os.path.dirname(MODULE), "HOME": str(tmp_path),
           "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # fmt: skip
    argv = [luarocks, "--lua-version=" + lua.version, f"--tree={tmp_path}/tree", "make", ROCK,
            f"CERTAUTO_DIR={prefix}", f"LUA_INCDIR=/usr/include/lua{lua.version}",
            "CFLAGS=-O0 -fPIC"]  # fmt: skip
    run = subprocess.run(
        argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    tree = tmp_path / "tree"
    out = _version(lua, tree / "share/lua" / lua.version, tree / "lib/lua" / lua.version, "")
    assert re.fullmatch(r"<certauto.Context>\t[\d.]+\n", out)
