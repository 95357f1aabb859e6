# SPDX-License-Identifier: Apache-2.0
"""certauto: a load balancer always serves a valid certificate.

    with certauto.Context() as cx:
        balancer = cx.target("haproxy", socket="/run/haproxy.sock", crt="/etc/haproxy/shop.pem")
        account = cx.account("letsencrypt", agree_tos=True)
        key = cx.key()
        chain = account.order(cx.csr(key, ["shop.example"]), http01=balancer).run(timeout=300)
        balancer.deploy("shop", chain, key, timeout=120)

Everything hangs on a Context, used by one thread at a time. What is slow is a job: run() waits for
it, start() gives it, `await` takes it. Each failure is a certauto.Error of a class of its own.
Docstrings of certauto._certauto have what the C headers say.
"""

from ._error import Error, Subproblem
from ._errors import (
    Auth,
    Busy,
    Canceled,
    Certificate,
    Challenge,
    Config,
    Forked,
    Invalid,
    Io,
    Network,
    NoMemory,
    NotFound,
    NotServed,
    Permission,
    Protocol,
    Refused,
    RetryLater,
    Rollback,
    TimedOut,
    Tls,
    Unsupported,
)

try:
    from ._handle import c as _c
except ImportError as _error_of_import:
    from ._unfit import reason as _reason

    raise ImportError(_reason(__path__) or str(_error_of_import)) from None
from ._context import Context
from ._job import Event, Job
from ._objects import Account, Chain, Csr, Fleet, Key, Option, Order, Renewal, Store, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

    from ._callbacks import Work
    from ._enums import (
        Capability,
        ChainPart,
        EventType,
        FleetFlag,
        LogLevel,
        NameStatus,
        OptionFlag,
        OrderStatus,
        RevokeReason,
    )

__version__ = _c.CERTAUTO_VERSION

# Where they are found, not where they are written.
for _class in (
    *(Error, Subproblem, Context, Event, Job),
    *(Account, Chain, Csr, Fleet, Key, Option, Order, Renewal, Store, Target),
):
    _class.__module__ = __name__
del _class

_LATER = {
    "Work": "_callbacks",
    "Capability": "_enums",
    "ChainPart": "_enums",
    "EventType": "_enums",
    "FleetFlag": "_enums",
    "LogLevel": "_enums",
    "NameStatus": "_enums",
    "OptionFlag": "_enums",
    "OrderStatus": "_enums",
    "RevokeReason": "_enums",
}

__all__ = [
    "Account",
    "Auth",
    "Busy",
    "Canceled",
    "Capability",
    "Certificate",
    "Chain",
    "ChainPart",
    "Challenge",
    "Config",
    "Context",
    "Csr",
    "Error",
    "Event",
    "EventType",
    "Fleet",
    "FleetFlag",
    "Forked",
    "Invalid",
    "Io",
    "Job",
    "Key",
    "LogLevel",
    "NameStatus",
    "Network",
    "NoMemory",
    "NotFound",
    "NotServed",
    "Option",
    "OptionFlag",
    "Order",
    "OrderStatus",
    "Permission",
    "Protocol",
    "Refused",
    "Renewal",
    "RetryLater",
    "RevokeReason",
    "Rollback",
    "Store",
    "Subproblem",
    "Target",
    "TimedOut",
    "Tls",
    "Unsupported",
    "Work",
    "has",
    "version",
]


def version() -> str:
    """Version of the library that is running."""
    return _c.certauto_version()


def has(feature: str) -> bool:
    """Whether a feature is built in: "target:haproxy", "store:files", "http2"."""
    return bool(_c.certauto_version_has(feature))


# Enumerations and what else not each program needs: imported when it is asked for.
def __getattr__(name: str) -> "Any":
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> "List[str]":
    return sorted(set(globals()) | set(__all__))
