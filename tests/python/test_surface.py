"""The whole of the public interface can be reached from Python, and is what the stubs say."""

import inspect
import os
import re
import shutil
import subprocess
import sys

import certauto
import pytest
from conftest import PACKAGE, ROOT

sys.path[:0] = [os.path.join(ROOT, "bindings", "swig"), os.path.join(ROOT, "tools")]

import generate  # noqa: E402

c = certauto._c
FUNCTIONS = {function.name: function for function in generate.functions()}

# What is not a function of the raw module, and where it is instead.
ELSEWHERE = {
    "certauto_mem_free": "done for each buffer",
    **{f"certauto_{noun}_free": f"delete_certauto_{noun}"
       for noun in generate.nouns(FUNCTIONS.values())},
    **{f"certauto_error_{word}": f"certauto.Error.{word}"
       for word in ("code", "message", "object", "problem", "advice", "status", "retry_at")},
    **{f"certauto_error_subproblem_{word}": f"certauto.Subproblem.{word}"
       for word in ("name", "problem", "detail")},
    "certauto_error_n_subproblems": "certauto.Error.subproblems",
}  # fmt: skip

# What only the raw module has: no use for it where errors are exceptions and handles know their
# context.
RAW_ONLY = re.compile(
    r"certauto_(\w+_context|context_error|context_new|error_text|version_number)$"
)


@pytest.fixture(scope="module", autouse=True)
def _at_the_top():
    """The generator reads the headers from there."""
    before = os.getcwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.fixture(scope="module", name="facade")
def _facade():
    """The text of the package, without what is generated."""
    folder = os.path.join(ROOT, "bindings", "python", "certauto")
    texts = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                texts.append(file.read())
    return "\n".join(texts)


def test_surface__each_function_is_in_the_raw_module():
    assert len(FUNCTIONS) > 150
    missing = [name for name in FUNCTIONS if not hasattr(c, name) and name not in ELSEWHERE]
    assert missing == []
    for place in ELSEWHERE.values():
        if place.startswith("delete_"):
            assert callable(getattr(c, place))
        elif "." in place:
            _, class_name, attribute = place.split(".")
            made = {"Error": certauto.Error(""), "Subproblem": certauto.Subproblem("", "", "")}
            assert hasattr(made[class_name], attribute)


def test_surface__each_function_is_used_by_the_package(facade):
    used = set(re.findall(r"\b(?:c|_c|_certauto)\.(\w+)", facade))
    assert {name for name in used if name.startswith("certauto_")} <= set(dir(c))
    for name, function in FUNCTIONS.items():
        twin = re.sub(r"^(certauto_[a-z]+)_", r"\1_start_", name)
        if name in ELSEWHERE or RAW_ONLY.match(name) or twin in used:
            continue
        if name == "certauto_order_run":
            continue  # certauto_order_start, and slices
        assert name in used, f"{name} cannot be reached"
        assert function.name == name


def test_surface__each_constant_is_there():
    for name, value in generate.constants():
        assert getattr(c, name) == int(value)
    for name, value, class_name, text in generate.error_rows():
        raised = getattr(certauto, class_name)
        assert getattr(c, "CERTAUTO_" + name) == int(value) == raised.code
        assert issubclass(raised, certauto.Error) and raised.__name__ == class_name
        assert class_name in certauto.__all__ and text in raised.__doc__
        assert raised("x").name == "CERTAUTO_" + name and c.certauto_error_text(int(value)) == text


def test_surface__each_constant_has_its_enumeration():
    known = {}
    for prefix, class_name, _ in generate.ENUMS:
        for member in getattr(certauto, class_name):
            known[prefix + member.name] = int(member)
    loose = {"CERTAUTO_OK": 0, "CERTAUTO_AGAIN": 1}
    assert {**known, **loose} == {name: int(value) for name, value in generate.constants()}


def test_surface__exported_names_are_there():
    assert certauto.__all__ == sorted(certauto.__all__, key=lambda name: (name.islower(), name))
    for name in certauto.__all__:
        value = getattr(certauto, name)
        assert inspect.getdoc(value), name
    assert set(certauto.__all__) <= set(dir(certauto))
    with pytest.raises(AttributeError):
        certauto.nothing
    scope = {}
    exec("from certauto import *", scope)
    assert scope["OrderStatus"] is certauto.OrderStatus
    assert certauto.__version__ == certauto.version() and certauto.has("store:files")
    assert not certauto.has("target:none")


def test_docs__everything_public_has_a_docstring():
    for name in certauto.__all__:
        value = getattr(certauto, name)
        if not inspect.isclass(value):
            continue
        for attribute, member in vars(value).items():
            told = inspect.isfunction(member) or isinstance(member, property)
            if told and not attribute.startswith("_"):
                assert inspect.getdoc(member), f"{name}.{attribute}"


def test_docs__raw_functions_have_what_the_headers_say():
    doc = c.certauto_order_new.__doc__
    assert doc.strip().startswith("certauto_order_new(account, csr) -> _Order")
    assert "New order for the names in csr" in doc and "@since" not in doc and "*" + "/" not in doc
    bare = [name for name, function in FUNCTIONS.items() if generate.in_python(function)
            and function.comment not in (getattr(c, name).__doc__ or "")]  # fmt: skip
    assert bare == []


def _run(tool, *args, path=""):
    program = os.environ.get(tool.upper(), tool)
    if not shutil.which(program):
        pytest.skip(f"skipped: {program} is not installed")
    env = {**os.environ, "MYPYPATH": f"{PACKAGE}:{path}", "PYTHONPATH": PACKAGE}
    return subprocess.run(
        [program, *args], env=env, capture_output=True, text=True, timeout=100, check=False,
        cwd=PACKAGE,
    )  # fmt: skip


def test_types__mypy_strict(tmp_path):
    example = tmp_path / "example.py"
    example.write_text(
        "import certauto\n"
        "def issue(cx: certauto.Context, name: str) -> bytes:\n"
        '    web = cx.target("files", webroot="/srv")\n'
        '    order = cx.account("letsencrypt", agree_tos=True).order(\n'
        "        cx.csr(cx.key(), [name]), http01=web)\n"
        "    try:\n"
        "        return order.run(timeout=3.5).pem()\n"
        "    except certauto.Challenge as error:\n"
        "        print(error.subproblems[0].name, order.status is certauto.OrderStatus.VALID)\n"
        "        raise\n"
        "def wrong(cx: certauto.Context) -> int:\n"
        "    return cx.key().pem()\n"
    )
    cache = ["--cache-dir", str(tmp_path / "cache")]
    run = _run("mypy", "--strict", *cache, "-p", "certauto", "-p", "example", path=tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    (error,) = [line for line in run.stdout.splitlines() if "error:" in line]
    assert error.startswith(str(example)) or error.startswith("example.py")
    assert 'got "bytes", expected "int"' in error


def test_types__stubs_are_what_is_there():
    run = _run("stubtest", "certauto._certauto")
    assert run.returncode == 0, run.stdout
    with open(os.path.join(PACKAGE, "certauto", "_certauto.pyi"), encoding="utf-8") as file:
        text = file.read()
    stubbed = set(re.findall(r"^(?:def )?(\w+)[(:]", text, re.M))
    here = {name for name in dir(c) if re.match(r"(certauto_|delete_|CERTAUTO_)", name)}
    assert here <= stubbed, here - stubbed


def test_generator__reads_all_there_is():
    """Each exported function and no other; each handle's context is found."""
    sys.path.insert(0, os.path.join(ROOT, "tools"))
    import api

    assert sorted(FUNCTIONS) == api.functions()
    assert generate.blocks(FUNCTIONS["certauto_fleet_renew"])
    assert generate.blocks(FUNCTIONS["certauto_key_new"])
    assert not generate.blocks(FUNCTIONS["certauto_order_start"])
    assert generate.swig_line(FUNCTIONS["certauto_key_format"]) == (
        "%certauto_checked(certauto_key_format, certauto_key_context(arg3))"
    )
    for function in FUNCTIONS.values():
        if function.checked:
            assert function.comment, f"{function.name} has no comment"


def test_import__takes_along_only_what_it_needs():
    code = (
        "import sys; before = set(sys.modules); import certauto; cx = certauto.Context(); "
        "cx.key(); print(*sorted(set(sys.modules) - before))"
    )
    env = {**os.environ, "PYTHONPATH": PACKAGE}
    argv = [sys.executable, "-B", "-S", "-c", code]
    run = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    heavy = {"asyncio", "ctypes", "enum", "inspect", "json", "logging", "re", "threading", "typing"}
    assert not heavy & set(run.stdout.split()), run.stdout
    assert "certauto._certauto" in run.stdout.split()
