"""Keys, requests and chains; how objects live and die; what the raw module refuses."""

import copy
import gc
import os
import pickle
import pydoc
import random
import subprocess
import sys
import threading
import time

import certauto
import pytest
from certauto import ChainPart
from conftest import PACKAGE
from cryptography import x509
from cryptography.hazmat.primitives import serialization

c = certauto._c


# ---- keys, requests, chains ----


@pytest.mark.parametrize("type_", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_key__round_trip(cx, type_):
    key = cx.key(type_)
    assert key.type == type_ and type_ in repr(key)
    pem = key.pem()
    for data in (pem, bytearray(pem), pem.decode(), memoryview(pem)):
        assert cx.key_from(data).pem() == pem
    theirs = serialization.load_pem_private_key(pem, None).public_key()
    assert key.public() == theirs.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_key__load_wants_a_closed_file(cx, tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(cx.key().pem())
    path.chmod(0o644)
    with pytest.raises(certauto.Permission):
        cx.key_load(path)
    path.chmod(0o600)
    assert cx.key_load(path).type == "ecdsa-p256"
    with pytest.raises(certauto.NotFound) as caught:
        cx.key_load(tmp_path / "none")
    assert caught.value.object == str(tmp_path / "none")


def test_csr__names_and_subject(cx):
    key = cx.key()
    csr = cx.csr(key, ["www.example.org", "*.example.org", "192.0.2.1"])
    assert sorted(csr.names) == ["*.example.org", "192.0.2.1", "www.example.org"]
    assert csr.common_name is None
    csr = cx.csr(key, "www.example.org", subject="CN=www.example.org, O=Example")
    assert csr.common_name == "www.example.org"
    again = cx.csr_from(csr.pem())
    assert again.names == csr.names and x509.load_pem_x509_csr(again.pem()).is_signature_valid
    with pytest.raises(certauto.Invalid, match="no_name"):
        cx.csr(key, ["no_name!"])
    with pytest.raises(certauto.Invalid):
        cx.csr(key, [])


def test_chain__parts_and_checks(cx):
    key = cx.key()
    at = int(time.time()) + 86400
    chain = key.self_sign(cx.csr(key, ["www.example.org"]), at)
    assert chain.not_after_at == at and chain.names == ["www.example.org"]
    assert chain.pem(ChainPart.INTERMEDIATES) == b"" and chain.leaf() == chain.pem()
    assert bool(chain) and len(chain) == 1 and chain.issuer
    assert cx.chain_from(chain.pem()).fingerprint == chain.fingerprint
    (details,) = chain.details()
    assert details["self_signed"] is True and details["ca"] is False
    assert details["sha256"] == chain.fingerprint and details["names"] == chain.names
    chain.check(key, "www.example.org")
    with pytest.raises(certauto.Certificate):
        chain.check(key, ["other.example.org"])
    with pytest.raises(certauto.Certificate):
        chain.check(cx.key(), ["www.example.org"])
    with pytest.raises(certauto.Certificate):
        cx.chain_from("no chain")


@pytest.mark.parametrize("data", [None, 5, [1, 2], ["a"], 1.5, object()])
def test_data__must_be_bytes_or_text(cx, data):
    with pytest.raises(TypeError):
        cx.key_from(data)


def test_object__of_another_kind_is_told_as_one(cx):
    key, chain = cx.key(), "shop"
    csr = cx.csr(key, ["www.example.org"])
    account, files = cx.account("https://ca.example.org/dir"), cx.target("files")
    for what, call in (
        ("Chain is needed, not str", lambda: files.deploy("shop", chain, key)),
        ("Key is needed, not Csr", lambda: cx.csr(csr, ["www.example.org"])),
        ("Key is needed, not str", lambda: cx.csr("key", ["www.example.org"], "CN=a")),
        ("Csr is needed, not NoneType", lambda: account.order(None)),
        ("Target is needed, not str", lambda: account.order(csr, http01="files")),
        ("Chain is needed, not Key", lambda: account.order(csr, replaces=key)),
        ("Chain is needed, not str", lambda: account.revoke(chain)),
        ("Chain is needed, not str", lambda: account.fetch_renewal(chain)),
        ("Key is needed, not str", lambda: account.rotate_key("key")),
        ("Csr is needed, not Key", lambda: key.self_sign(key, 0)),
        ("Store is needed, not str", lambda: cx.use_store("files")),
    ):
        with pytest.raises(TypeError, match=f"^a {what}$"):
            call()


def test_help__has_no_comments_in_it():
    for kind in (certauto.Context, certauto.Key, certauto.Job):
        assert "# " not in pydoc.render_doc(kind, renderer=pydoc.plaintext)


@pytest.mark.parametrize("names", [5, [5], [b"a"], [None], object()])
def test_names__must_be_texts(cx, names):
    with pytest.raises(TypeError):
        cx.csr(cx.key(), names)


def test_text__with_nul_or_odd_characters(cx):
    key = cx.key()
    for name in ("a\0b.example.org", "\ud800", "ü" * 300, "x" * 100_000):
        with pytest.raises((certauto.Invalid, ValueError)):
            cx.csr(key, [name])


def test_numbers__out_of_range(cx):
    with pytest.raises(OverflowError):
        c.certauto_context_set_log_level(cx._h, 2**40)
    with pytest.raises(ValueError):
        cx.account("letsencrypt").register(timeout=-1)


# ---- life and death ----


def test_handle__close_and_with(cx):
    with cx.key() as key:
        assert not key.closed and key.context is cx
    assert key.closed and repr(key) == "<certauto.Key closed>"
    key.close()
    with pytest.raises(ValueError, match="this Key is closed"):
        key.pem()
    with pytest.raises(AttributeError, match="nothing"):
        cx.nothing


def test_handle__is_not_copied(cx):
    for call in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            call(cx.key())


def test_handle__children_keep_what_they_need(tmp_path):
    def order():
        cx = certauto.Context()
        account = cx.account("https://ca.example/directory")
        return account.order(cx.csr(cx.key(), ["www.example.org"]))

    made = order()
    gc.collect()
    assert made.names == ["www.example.org"]
    assert made.context.key().type == "ecdsa-p256"


def test_handle__freed_in_any_order_on_any_thread():
    chance = random.Random(1)
    for _ in range(40):
        cx = certauto.Context()
        key = cx.key()
        csr = cx.csr(key, ["www.example.org"])
        account = cx.account("https://ca.example/directory", key=cx.key())
        things = [cx, key, csr, account, account.order(csr), cx.target("files"), cx.store(),
                  key.self_sign(csr, 1999999999), cx.account("letsencrypt")]  # fmt: skip
        things[4].use("http-01", cx.target("files", webroot="/tmp"))
        job = things[4].start()
        things.append(job)
        del cx, key, csr, account, job
        chance.shuffle(things)
        threads = [threading.Thread(target=things.pop) for _ in range(len(things) // 2)]
        for thread in threads:
            thread.start()
        while things:
            things.pop()
        for thread in threads:
            thread.join()
    gc.collect()


def test_raw__handles_cannot_be_freed_twice_nor_used_after(cx):
    key = c.certauto_key_new(cx._h, "ecdsa-p256")
    c.delete_certauto_key(key)
    c.delete_certauto_key(key)
    with pytest.raises(ValueError):
        c.certauto_key_type(key)
    with pytest.raises(certauto.Invalid):
        c.certauto_key_format(key)
    with pytest.raises(TypeError):
        c.delete_certauto_csr(c.certauto_key_new(cx._h, "ecdsa-p256"))


def test_raw__borrowed_context_keeps_its_owner():
    handle = c.certauto_context_new()
    key = c.certauto_key_new(handle, "ecdsa-p256")
    borrowed = c.certauto_key_context(key)
    del handle, key
    gc.collect()
    assert c.certauto_context_fd(borrowed) >= 0


def test_raw__wrong_handles_are_refused(cx):
    key = cx.key()
    for wrong in (5, "x", object(), cx._h):
        with pytest.raises(TypeError):
            c.certauto_key_type(wrong)
    for call in (c.certauto_key_type, c.certauto_csr_n_names, c.certauto_context_fd):
        with pytest.raises(ValueError):
            call(None)
    with pytest.raises(certauto.Invalid):
        c.certauto_order_new(cx.account("letsencrypt")._h, None)
    with pytest.raises(TypeError):
        c.certauto_key_type()
    with pytest.raises(TypeError):
        c.certauto_key_type(key._h, 1)


def test_raw__the_error_is_kept_until_the_next_call(cx):
    with pytest.raises(certauto.Invalid):
        cx.key("nonsense")
    assert isinstance(c.certauto_context_error(cx._h), certauto.Invalid)
    cx.key()
    assert c.certauto_context_error(cx._h) is None
    assert c.certauto_error_name(-5) == "CERTAUTO_ENOTFOUND" and c.certauto_error_text(-5)


def test_error__goes_to_other_processes(cx):
    with pytest.raises(certauto.NotFound) as caught:
        cx.key_load("/nowhere/key.pem")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is certauto.NotFound and str(again) == str(caught.value)
    assert again.object == "/nowhere/key.pem" and again.code == caught.value.code
    sub = certauto.Subproblem("a", "b", "c")
    error = certauto.Challenge("no", subproblems=(sub,))
    assert pickle.loads(pickle.dumps(error)).subproblems[0].name == "a"


def test_error__of_a_newer_library(cx):
    error = certauto._handle._make_error(-99, "new", None, None, None, 0, 0, ())
    assert type(error) is certauto.Error and error.code == -99 and error.name == "CERTAUTO_UNKNOWN"


# ---- processes ----


def test_fork__the_child_is_told(cx):
    key = cx.key()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            cx.key()
        except certauto.Forked:
            with certauto.Context() as mine:
                status = 0 if mine.key().pem() else 2
            cx.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert key.pem()


EXIT = """
import threading, certauto
cx = certauto.Context(on_event=lambda event: None)
key = cx.key()
order = cx.account("https://127.0.0.1:1/", agree_tos=True).order(cx.csr(key, ["a.example"]))
order.use("http-01", cx.target("files", webroot="/tmp"))
job = order.start()
cx.run(0)
class Late:
    def __del__(self):
        self.key.close()
late = Late()
late.key = key
print("bye")
"""


def test_exit__with_live_handles():
    env = {**os.environ, "PYTHONPATH": PACKAGE}
    argv = [sys.executable, "-B", "-W", "error", "-X", "dev", "-c", EXIT]
    run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "bye\n", "")
