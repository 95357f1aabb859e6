#!/usr/bin/python3
"""What a binding must know of the public headers, written as what the binding's tools read.

usage: generate.py swig|stubs|errors|enums        (writes to stdout)

swig    certauto_calls.i: for each function whether it is checked, whether it may block, and where
        its context is found; the nouns; the comments as docstrings
stubs   _certauto.pyi: the types of the extension module for Python
errors  _errors.py: an exception class for each error code
enums   _enums.py: the enumerations, as Python has them

The rules are those of the headers: a function is checked if it is CERTAUTO_MUST_CHECK, and may
block if its last parameter is `int timeout_ms`.
"""

import os
import re
import sys
from collections import namedtuple

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tools"))

import api  # noqa: E402

Param = namedtuple("Param", "type name")
Function = namedtuple("Function", "name returns params checked comment")

# Objects that a callback is given for the time it runs; the others are handles that are owned.
BORROWED = ("event", "signing", "work")

# These take time, on the processor or the disk, although the network has no part in them.
BUSY = re.compile(
    r"certauto_(key_(new|parse|load)|csr_(new|new_subject|parse)"
    r"|chain_(new_self_signed|parse|check)|fleet_(parse|load|dup_\w+))$"
)

# Enumerations: how the constants begin, what they are called in a language that has classes, and
# whether they are bits.
ENUMS = [
    ("CERTAUTO_EVENT_", "EventType", False),
    ("CERTAUTO_LOG_", "LogLevel", False),
    ("CERTAUTO_CHAIN_", "ChainPart", False),
    ("CERTAUTO_REVOKE_", "RevokeReason", False),
    ("CERTAUTO_ORDER_", "OrderStatus", False),
    ("CERTAUTO_NAME_", "NameStatus", False),
    ("CERTAUTO_TARGET_", "Capability", True),
    ("CERTAUTO_OPTION_", "OptionFlag", True),
    ("CERTAUTO_FLEET_", "FleetFlag", True),
]


# ---- reading ----


def plain(comment):
    """A comment's text: without its stars, and without what only C programmers need."""
    text = re.sub(r"^\s*/\*\*+ ?|\s*\*/\s*$", "", comment)
    text = re.sub(r"(?m)^[ \t]*\* ?", "", text)
    text = re.sub(r"\s*@since [\d.]+", "", text)
    text = re.sub(r"\s*@return ", "\nReturns ", text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def parameters(text):
    """[Param] of a parameter list."""
    found = []
    for part in text.split(","):
        part = " ".join(part.split())
        if part != "void":
            name = re.search(r"\w+$", part)[0]
            found.append(Param(part[: -len(name)].replace("* ", "*").strip(), name))
    return found


def comment_before(text, offset):
    """The comment of the function declared at offset, or of the group it stands in."""
    before = text[:offset]
    begin, end = before.rfind("/**"), before.rfind("*/")
    between = before[end + 2 :]
    if end < begin or "\n\n" in between.strip("\n") + "\n" or "typedef" in between:
        return ""
    return before[begin : end + 2]


def functions():
    """[Function] of all headers, in the order they are declared."""
    found = []
    pattern = r"^CERTAUTO_API\s+(CERTAUTO_MUST_CHECK\s+)?([\w ]+?[ *]+)(certauto_\w+)\s*\(([^)]*)\)"
    for path in api.header_files():
        text = api.read(path)
        for match in re.finditer(pattern, api.without_comments(text), re.M):
            found.append(
                Function(
                    match[3],
                    match[2].strip(),
                    parameters(match[4]),
                    bool(match[1]),
                    plain(comment_before(text, match.start())),
                )
            )
    return found


def nouns(calls):
    """Names of the handles that are owned: what has a certauto_X_free()."""
    return [
        found[1]
        for found in (re.fullmatch(r"certauto_(\w+)_free", call.name) for call in calls)
        if found and found[1] != "mem"
    ]


def noun_of(type_):
    """"key" for `const certauto_key *` and `certauto_key **`; None for other types."""
    found = re.fullmatch(r"(?:const )?certauto_(\w+) \*+", type_)
    return found[1] if found else None


def blocks(call):
    """The call may block, or takes long: other threads go on meanwhile."""
    return bool(call.params and call.params[-1].name == "timeout_ms") or bool(BUSY.match(call.name))


def subject(call):
    """(number, Param) of the object that a call is about: its first handle that goes in."""
    for number, param in enumerate(call.params, 1):
        if noun_of(param.type) and not param.type.endswith("**"):
            return number, param
    return None


def error_rows():
    """[(name, value, class, text)] of the X-macro."""
    row = r'X\((E\w+), (-\d+), (\w+), "([^"]*)"\)'
    return re.findall(row, api.read("include/certauto/error.h"))


def constants():
    """[(name, value)] of all enumerations, in order, without the error codes."""
    found = []
    for path in api.header_files():
        text = api.without_comments(api.read(path))
        for body in re.findall(r"^enum \{(.*?)^\};", text, re.M | re.S):
            found += re.findall(r"^\t(CERTAUTO_\w+) = (\d+)", body, re.M)
    return found


# ---- as Python sees it ----


PLAIN_TYPES = {"int": "int", "size_t": "int", "int64_t": "int", "unsigned": "int", "void": "None"}
CALLBACKS = {
    "certauto_event_cb": "Callable[[_Event], int | None]",
    "certauto_sign_cb": "Callable[[_Signing], int | None]",
}
CLEARED = ("data_len", "n_names", "payload", "free_cb", "out_len")


def handle_class(noun):
    """The name of a handle in the stubs."""
    return "_" + noun.title()


def python_input(call, param):
    """The type of one argument."""
    about = subject(call)
    if noun_of(param.type):
        first = about and about[1] is param and not param.name.startswith("any_")
        return handle_class(noun_of(param.type)) + ("" if first else " | None")
    if param.name == "names":
        return "Sequence[str] | str | None"
    if param.name == "data":
        return "bytes | bytearray | memoryview | str"
    if param.type in CALLBACKS:
        return CALLBACKS[param.type] + ("" if "NULL cb" not in call.comment else " | None")
    if param.type == "const char *":
        return "str | None" if "NULL" in call.comment else "str"
    return PLAIN_TYPES[param.type]


def python_outputs(call):
    """The types of what goes out through parameters."""
    found = []
    for param in call.params:
        if param.type == "unsigned char **":
            found.append("bytes")
        elif param.type == "char **":
            found.append("str")
        elif param.type.endswith("**"):
            maybe = " | None" if param.name == "key_out" else ""
            found.append(handle_class(noun_of(param.type)) + maybe)
    return found


def python_result(call):
    """The type of what a call returns."""
    outputs = python_outputs(call)
    if outputs:
        return outputs[0] if len(outputs) == 1 else f"tuple[{', '.join(outputs)}]"
    if call.name == "certauto_event_job":
        return "int"  # its id
    if call.returns == "const unsigned char *":
        return "bytes"
    if call.returns == "const char *":
        return "str | None" if "NULL" in call.comment else "str"
    if call.returns == "const certauto_error *":
        return "Error | None"
    if noun_of(call.returns):
        return handle_class(noun_of(call.returns))
    if call.checked:
        return "int" if counts(call) else "None"
    return PLAIN_TYPES[call.returns]


def counts(call):
    """A checked call whose result says more than that it went well."""
    return call.checked and "Returns number" in call.comment


def python_params(call):
    """[(name, type)] of what is passed in."""
    return [
        (param.name, python_input(call, param))
        for param in call.params
        if not param.type.endswith("**") and param.name not in CLEARED
    ]


def in_python(call):
    """Errors come as exceptions, and memory is freed without asking."""
    return not re.match(
        r"certauto_(error_(?!name|text)\w+|\w+_free|target_new_ops|context_add_target)$", call.name
    )


# ---- writing ----


def swig_line(call):
    """How one call is guarded: %certauto_KIND(name, where its context is)."""
    about = subject(call)
    noun = noun_of(about[1].type) if about else None
    if noun is None:
        return f"%certauto_checked({call.name}, NULL)" if call.checked else None
    if noun == "error":
        return None
    place = f"arg{about[0]}"
    if noun in BORROWED:
        kind = "borrowed_checked" if call.checked else "borrowed"
        return f"%certauto_{kind}({call.name}, {place})"
    if about[1].name.startswith("any_"):
        return None
    where = place if noun == "context" else f"certauto_{noun}_context({place})"
    kind = "property" if not call.checked else "blocks" if blocks(call) else "checked"
    return f"%certauto_{kind}({call.name}, {where})"


def write_swig(calls):
    """certauto_calls.i"""
    print("/* Made by bindings/swig/generate.py from the public headers. */")
    for noun in nouns(calls):
        print(f"%certauto_noun({noun})")
    for call in calls:
        if call.name.endswith("_free"):
            continue
        line = swig_line(call)
        if line:
            print(line)
        if call.checked:
            print(f"%apply int CERTAUTO_{'COUNT' if counts(call) else 'RC'} {{ int {call.name} }};")
        if call.comment:
            names = ", ".join(name for name, _ in python_params(call))
            head = f"{call.name}({names}) -> {python_result(call)}"
            print(f'%feature("docstring") {call.name} %{{{head}\n\n{call.comment}%}}')


STUB_HEAD = '''\
"""Made by bindings/swig/generate.py from the public headers.

The C functions one for one. Handles are opaque and freed when nothing refers to them any more;
None stands for NULL. A checked function raises certauto.Error.
"""

from typing import Any, Callable, Sequence

from certauto import Error

'''

STUB_TAIL = '''
def certauto_target_new_ops(
    cx: _Context, name: str, caps: int, options_json: str | None, operations: Sequence[str],
    call: Callable[[_Work], int | None], /,
) -> _Target: ...
def certauto_context_add_target(
    cx: _Context, name: str, caps: int, options_json: str | None, operations: Sequence[str],
    call: Callable[[_Work], int | None], /,
) -> None: ...
def on_error(make: Callable[..., BaseException], /) -> None: ...
'''


def write_stubs(calls):
    """_certauto.pyi"""
    print(STUB_HEAD, end="")
    owned = nouns(calls)
    for noun in [*owned, *BORROWED]:
        print(f"class {handle_class(noun)}: ...")
    print()
    for name, value in constants():
        print(f"{name}: int")
    for name, _, _, _ in error_rows():
        print(f"CERTAUTO_{name}: int")
    print("CERTAUTO_VERSION: str\nCERTAUTO_VERSION_NUMBER: int\nCERTAUTO_TARGET_OPS_VERSION: int\n")
    for call in filter(in_python, calls):
        params = "".join(f"{name}: {type_}, " for name, type_ in python_params(call))
        print(f"def {call.name}({params}{'/' if params else ''}) -> {python_result(call)}: ...")
    for noun in owned:
        print(f"def delete_certauto_{noun}(handle: {handle_class(noun)}, /) -> None: ...")
        print(f"def certauto_{noun}_swigregister(cls: type[Any], /) -> None: ...")
    print(STUB_TAIL, end="")


ERRORS_HEAD = '''\
"""Made by bindings/swig/generate.py from the public headers: a class for each error code."""

from __future__ import annotations

from ._error import Error

'''

ENUMS_HEAD = '''\
"""Made by bindings/swig/generate.py from the public headers: the enumerations."""

from __future__ import annotations

import enum

'''


def write_errors(_calls):
    """_errors.py"""
    print(ERRORS_HEAD, end="")
    for name, value, class_name, text in error_rows():
        print(f"\nclass {class_name}(Error):")
        print(f'    """CERTAUTO_{name}: {text}."""\n')
        print(f'    __module__ = "certauto"\n    code = {value}\n')
    print("\nCLASSES: dict[int, type[Error]] = {")
    for _, value, class_name, _ in error_rows():
        print(f"    {value}: {class_name},")
    print("}")


def write_enums(_calls):
    """_enums.py"""
    print(ENUMS_HEAD, end="")
    values = constants()
    for prefix, class_name, bits in ENUMS:
        print(f"\nclass {class_name}({'enum.IntFlag' if bits else 'enum.IntEnum'}):")
        print(f'    """{prefix}*"""\n')
        for name, value in values:
            if name.startswith(prefix):
                print(f"    {name[len(prefix):]} = {value}")
        print()


WRITERS = {"swig": write_swig, "stubs": write_stubs, "errors": write_errors, "enums": write_enums}


def main(args):
    """Write one of them."""
    if len(args) != 1 or args[0] not in WRITERS:
        sys.exit(__doc__)
    os.chdir(TOP)
    WRITERS[args[0]](functions())


if __name__ == "__main__":
    main(sys.argv[1:])
