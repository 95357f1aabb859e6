"""The target `hook`: programs written for certbot, dehydrated, lego and acme.sh, run by certauto.

A real BIND has the records, a real nginx serves what the deploy hooks give it, a real CA looks.
"""

import json
import os
import shlex
import signal
import stat

import pytest
from conftest import BINARY
from real import hook, pki, tls
from real.named import NamedLab
from real.nginx import Nginx
from real.proc import wait_until

ZONES = {"example.org": "_acme-challenge.alias CNAME there.example.net.\n", "example.net": ""}
SECRET = "hunter2-is-no-secret-any-more"


class HookLab(NamedLab):
    """nginx serves the bundle that the deploy hooks write, and the web root of the others."""

    def __init__(self):
        self.bundle = None
        super().__init__(ZONES, front=self._nginx)

    def _nginx(self, lab):
        path = os.path.join(lab.new_folder("bundle"), "bundle.pem")
        self.bundle = pki.self_signed_bundle(path, "nginx.example.org")
        return Nginx(lab.new_folder("nginx"), [(self.bundle, self.bundle)])

    def hooks(self):
        """A folder of hook programs of its own for a test."""
        return hook.Hooks(
            self.new_folder("hooks"),
            port=self.named.port,
            key=self.named.key_file,
            webroot=self.front.webroot,
            bundle=self.bundle,
            reload=shlex.join(self.front.reload_argv),
        )

    def entry(self, style, hooks, **more):
        """The "targets" entry for the programs of a style; a None leaves an option out."""
        options = {
            "type": "hook",
            "style": style,
            "folder": self.new_folder("live"),
            "probe": f"127.0.0.1:{self.front.tls_port}",
            "challenge_check": f"127.0.0.1:{self.front.http_port}",
            **self.dns_options(),
            **PROGRAMS[style](hooks),
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}

    def site(self, style, *names, challenge="dns-01", hooks=None, **more):
        """The command with one certificate, challenges and deployment by one target."""
        hooks = hooks or self.hooks()
        target = self.entry(style, hooks, **more)
        command = self.shop(BINARY, *names, target=target, deploy={}, challenge=challenge)
        edit(command, lambda config: config["certificates"]["shop"].update(deploy=["dns"]))
        return Site(self, command, hooks, target)

    def served(self, name):
        """The fingerprint nginx serves, with no reload under way."""
        self.front.settle()
        return tls.served(self.front.tls_port, name).fingerprint


def certbot_programs(hooks):
    """Three programs."""
    return {
        "program": [hooks.make("auth.sh", hook.CERTBOT_AUTH)],
        "cleanup_program": [hooks.make("cleanup.sh", hook.CERTBOT_CLEANUP)],
        "deploy_program": [hooks.make("deploy.sh", hook.CERTBOT_DEPLOY)],
    }


def lego_programs(hooks):
    """One, and one to deploy."""
    return {
        "program": [hooks.make("exec.sh", hook.LEGO)],
        "deploy_program": [hooks.make("deploy.sh", hook.LEGO_DEPLOY)],
    }


def acmesh_programs(hooks):
    """Two scripts, that need not be executable."""
    for name, text in (("dns_local.sh", hook.ACMESH_DNS), ("local.sh", hook.ACMESH_DEPLOY)):
        os.chmod(hooks.make(name, text), 0o644)
    return {
        "program": [os.path.join(hooks.folder, "dns_local.sh")],
        "deploy_program": [os.path.join(hooks.folder, "local.sh")],
        "environment": [f"LOCAL_Key={hooks.words['key']}"],
    }


PROGRAMS = {
    "certbot": certbot_programs,
    "dehydrated": lambda hooks: {"program": [hooks.make("hook.sh", hook.DEHYDRATED)]},
    "lego": lego_programs,
    "acme.sh": acmesh_programs,
}


class Site:
    """One certificate, its command, its programs."""

    def __init__(self, lab, command, hooks, target):
        self.lab, self.command, self.hooks, self.target = lab, command, hooks, target

    @property
    def files(self):
        """Where the certificate's files are."""
        return os.path.join(self.target["folder"], "shop")

    def contents(self):
        """Every file there, byte for byte."""
        found = {}
        for entry in os.listdir(self.files):
            with open(os.path.join(self.files, entry), "rb") as file:
                found[entry] = file.read()
        return found

    def does(self, *argv):
        """A run that goes well."""
        run = self.command.run(*argv)
        assert run.status == 0, run
        return run

    def fails(self, *argv):
        """A run that does not; its error and itself."""
        run = self.command.run("--json", *argv)
        assert run.status == 1, run
        return run.json()["results"][0]["error"], run

    def fingerprint(self):
        """Of what was issued last."""
        return self.command.lineage("shop")["issued"]["fingerprint_sha256"]

    def state(self):
        """What status says of the target."""
        return self.command.lineage("shop")["targets"][0]["state"]

    def on(self, **options):
        """The same with other options of the target."""
        self.target.update(options)
        self.target = {name: value for name, value in self.target.items() if value is not None}
        edit(self.command, lambda config: config["targets"].update(dns=self.target))
        return self


def edit(command, change):
    """Change the configuration of a command."""
    with open(command.config_file, encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(command.config_file, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)


def said(error, code, *words):
    """The error is of that kind, and says all that."""
    text = json.dumps(error)
    assert error["code"] == "CERTAUTO_" + code and all(word in text for word in words), error


@pytest.fixture(scope="module", name="lab")
def _lab():
    """BIND, nginx, Pebble."""
    with HookLab() as up:
        yield up


# ---- contracts ----


@pytest.mark.parametrize("style", sorted(PROGRAMS))
def test_hook__issues_a_wildcard_deploys_and_leaves_no_record(lab, name, style):
    site = lab.site(style, name, "*." + name)
    site.does("issue", "shop")
    assert lab.served("www." + name) == site.fingerprint() and site.state() == "deployed"
    assert lab.named.values("_acme-challenge." + name) == []
    assert sorted(site.contents()) == ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]
    assert stat.S_IMODE(os.stat(site.files).st_mode) == 0o700
    for entry in os.listdir(site.files):
        assert stat.S_IMODE(os.stat(os.path.join(site.files, entry)).st_mode) == 0o600
    n = len(site.hooks.calls())
    assert n == 5, site.hooks.verbs()
    site.does("renew", "shop")
    assert len(site.hooks.calls()) == n, "nothing to do, and nobody told"


def test_hook__certbot_is_told_by_its_variables(lab, name):
    site = lab.site("certbot", name)
    site.does("issue", "shop")
    (auth, cleanup, deploy) = [environment for _argv, environment in site.hooks.calls()]
    assert auth["CERTBOT_DOMAIN"] == auth["CERTBOT_IDENTIFIER"] == name
    assert auth["CERTBOT_ALL_DOMAINS"] == name and auth["CERTBOT_REMAINING_CHALLENGES"] == "0"
    assert len(auth["CERTBOT_VALIDATION"]) == 43
    assert "CERTBOT_TOKEN" not in auth and "CERTBOT_AUTH_OUTPUT" not in auth
    assert cleanup["CERTBOT_AUTH_OUTPUT"] == f"record-{name}", "stripped, without standard error"
    assert cleanup["CERTBOT_VALIDATION"] == auth["CERTBOT_VALIDATION"]
    assert deploy["RENEWED_LINEAGE"] == site.files and deploy["RENEWED_DOMAINS"] == name
    assert "HOME" not in auth, "nothing else of ours is passed on"


def test_hook__dehydrated_is_told_by_arguments(lab, name):
    site = lab.site("dehydrated", name, "www." + name)
    site.does("issue", "shop")
    calls = site.hooks.calls()
    added = [argv for argv, _ in calls if argv[0] == "deploy_challenge"]
    removed = [argv for argv, _ in calls if argv[0] == "clean_challenge"]
    assert sorted(argv[1] for argv in added) == [name, "www." + name]
    assert sorted(argv[1:] for argv in added) == sorted(argv[1:] for argv in removed)
    for argv, environment in calls[:4]:
        assert len(argv) == 4 and len(argv[3]) == 43
        assert environment["CHALLENGETYPE"] == "dns-01" and environment["HOOK_CHAIN"] == "no"
    (deploy, environment) = calls[-1]
    files = [os.path.join(site.files, entry + ".pem") for entry in
             ("privkey", "cert", "fullchain", "chain")]  # fmt: skip
    assert deploy[:6] == ["deploy_cert", name, *files] and deploy[6].isdigit()
    assert environment["altnames"].split() == [name, "www." + name]
    assert environment["CERTDIR"] == site.target["folder"] and environment["alias"] == "shop"


def test_hook__lego_is_told_the_record_and_of_two_versions_variables(lab, name):
    site = lab.site("lego", name, environment=["API_TOKEN=abcd"])
    site.does("issue", "shop")
    (present, cleanup, (_argv, deploy)) = site.hooks.calls()
    assert present[0][:2] == ["present", f"_acme-challenge.{name}."] and len(present[0][2]) == 43
    assert cleanup[0] == ["cleanup", *present[0][1:]]
    assert present[1]["API_TOKEN"] == "abcd"
    path = os.path.join(site.files, "fullchain.pem")
    assert deploy["LEGO_HOOK_CERT_PATH"] == deploy["LEGO_CERT_PATH"] == path
    assert deploy["LEGO_HOOK_CERT_KEY_PATH"] == os.path.join(site.files, "privkey.pem")
    assert deploy["LEGO_ISSUER_CERT_PATH"] == os.path.join(site.files, "chain.pem")
    assert deploy["LEGO_HOOK_CERT_NAME"] == "shop" and deploy["LEGO_HOOK_CERT_KEY_TYPE"] == "EC256"
    assert deploy["LEGO_HOOK_CERT_DOMAINS"] == deploy["LEGO_CERT_DOMAIN"] == name


def test_hook__lego_raw_makes_the_digest_itself(lab, name):
    hooks = lab.hooks()
    program = [hooks.make("raw.sh", hook.LEGO_RAW)]
    environment = ["EXEC_MODE=RAW"]
    site = lab.site("lego", "*." + name, hooks=hooks, program=program, environment=environment)
    site.does("issue", "shop")
    (present, cleanup, _deploy) = [argv for argv, _environment in hooks.calls()]
    assert present[:3] == ["present", "--", name] and present[4].startswith(present[3] + ".")
    assert cleanup == ["cleanup", *present[1:]]
    assert lab.named.values("_acme-challenge." + name) == []


def test_hook__acmesh_functions_are_called_with_its_own_helpers_around(lab, name):
    hooks = lab.hooks()
    home = lab.new_folder("acmesh")
    acme_sh = os.path.join(home, "acme.sh")
    with open(acme_sh, "w", encoding="ascii") as file:
        file.write(hook.ACMESH.replace("{{", "{").replace("}}", "}"))
    with open(os.path.join(home, "account.conf"), "w", encoding="ascii") as file:
        file.write(f"SAVED_LOCAL_Key='{lab.named.key_file}'\n")
    site = lab.site("acme.sh", name, hooks=hooks, acme_sh=acme_sh, environment=None)
    site.does("issue", "shop")
    (add, remove, deploy) = [argv for argv, _environment in hooks.calls()]
    assert add[:2] == ["dns_local_add", f"_acme-challenge.{name}"]
    assert remove == ["dns_local_rm", *add[1:]]
    files = [os.path.join(site.files, entry + ".pem") for entry in
             ("privkey", "cert", "chain", "fullchain")]  # fmt: skip
    assert deploy == ["local_deploy", name, *files]
    with open(os.path.join(home, f"{name}.conf"), encoding="ascii") as file:
        assert file.read() == "DEPLOY_LOCAL\n"


def test_hook__a_cname_is_followed_for_those_that_are_told_the_record(lab):
    site = lab.site("lego", "alias.example.org")
    site.does("issue", "shop")
    assert site.hooks.calls()[0][0][1] == "there.example.net."
    assert lab.named.values("there.example.net") == []


@pytest.mark.parametrize("style", ["certbot", "dehydrated"])
def test_hook__answers_http_01_through_a_web_root(lab, name, style):
    hooks, more = lab.hooks(), {}
    if style == "certbot":
        more["program"] = [hooks.make("http.sh", hook.CERTBOT_HTTP_AUTH)]
        more["cleanup_program"] = [hooks.make("http-cleanup.sh", hook.CERTBOT_HTTP_CLEANUP)]
    site = lab.site(style, name, challenge="http-01", hooks=hooks, **more)
    site.does("issue", "shop")
    assert lab.served(name) == site.fingerprint()
    assert [files for _, _, files in os.walk(lab.front.webroot) if files] == []
    (argv, environment) = hooks.calls()[0]
    if style == "certbot":
        token, value = environment["CERTBOT_TOKEN"], environment["CERTBOT_VALIDATION"]
        assert hooks.calls()[1][1]["CERTBOT_VALIDATION"] == value
    else:
        token, value = argv[2:]
        assert hooks.calls()[1][0][1:] == argv[1:]
    assert value.startswith(token + ".")


def test_hook__a_program_is_never_run_twice_at_a_time(lab, name):
    hooks = lab.hooks()
    lock = os.path.join(hooks.folder, "lock")
    text = hook.LEGO.replace("set -eu\n", f"set -eu\nmkdir {lock}\ntrap 'rmdir {lock}' EXIT\n")
    site = lab.site(
        "lego", *(f"n{i}.{name}" for i in range(5)), hooks=hooks,
        program=[hooks.make("one.sh", text)], folder=None, deploy_program=None,
    )  # fmt: skip
    edit(site.command, lambda config: config["certificates"]["shop"].update(deploy=[]))
    site.does("issue", "shop")
    assert len(hooks.calls()) == 10


def test_hook__two_keys_are_two_folders(lab, name):
    site = lab.site("certbot", name, probe="no")
    keys = ["ecdsa-p256", "rsa-2048"]
    edit(site.command, lambda config: config["certificates"]["shop"].update(key=keys))
    site.does("issue", "shop")
    assert sorted(os.listdir(site.target["folder"])) == [f"shop.{key}" for key in keys]
    told = [environment.get("RENEWED_LINEAGE") for _argv, environment in site.hooks.calls()]
    assert {path for path in told if path} == {f"{site.files}.{key}" for key in keys}


# ---- what goes wrong before anything is changed ----


@pytest.mark.parametrize("option", ["program", "deploy_program"])
@pytest.mark.parametrize(
    "mode, text, code, words",
    [
        (None, "", "ENOTFOUND", "No such file"),
        (0o644, "#!/bin/sh\n", "EPERM", "chmod +x"),
        (0o755, "echo no interpreter\n", "EINVAL", "#!"),
    ],
)
def test_hook__a_program_that_cannot_be_run_is_named(lab, name, option, mode, text, code, words):
    hooks = lab.hooks()
    path = os.path.join(hooks.folder, "broken")
    if mode is not None:
        hooks.write("broken", text, mode)
    site = lab.site("certbot", name, hooks=hooks, **{option: [path]})
    run = site.command.run("target", "test", "dns")
    assert run.status == 1 and path in run.err and words in run.err, run
    error, _run = site.fails("issue", "shop")
    said(error, code, path, words)
    assert hooks.calls() == [] and os.listdir(site.target["folder"]) == []


@pytest.mark.parametrize(
    "options, words",
    [
        ({"style": "getssl"}, "certbot, dehydrated, lego or acme.sh"),
        ({"program": ["auth.sh"]}, "no absolute path"),
        ({"environment": ["A B=1"]}, "neither NAME=VALUE nor NAME"),
        ({"environment": ["A=secret", "AB=1", "A"]}, "A is in there twice"),
        ({"deploy_program": None}, "folder needs deploy_program"),
        ({"folder": None}, "deploy_program needs folder"),
        ({"acme_sh": "/x/acme.sh"}, "acme_sh is for"),
    ],
)
def test_hook__options_that_do_not_fit_are_refused(lab, options, words):
    run = lab.site("certbot", "o.example.org").on(**options).command.run("issue", "shop")
    assert run.status == 2 and words in run.err, run


@pytest.mark.parametrize("style", ["lego", "acme.sh"])
def test_hook__a_challenge_the_contract_does_not_know_is_refused(lab, name, style):
    site = lab.site(style, name, challenge="http-01")
    error, _run = site.fails("issue", "shop")
    assert error["code"] == "CERTAUTO_EUNSUPPORTED", error
    assert site.hooks.calls() == []


# ---- failing, in each verb ----


def test_hook__an_add_that_fails_is_cleaned_up_and_named(lab, name):
    hooks = lab.hooks()
    text = hook.CERTBOT_AUTH.replace('echo "  record', 'echo "no more records" >&2; exit 5; #')
    cleanup = hook.CERTBOT_CLEANUP.replace("[ ", "# ")
    site = lab.site(
        "certbot", name, hooks=hooks, program=[hooks.make("failing.sh", text)],
        cleanup_program=[hooks.make("clean.sh", cleanup)],
    )  # fmt: skip
    error, _run = site.fails("issue", "shop")
    said(error, "EREFUSED", "failing.sh (add)", "status 5", "no more records")
    assert hooks.verbs() == ["auth", "cleanup"]
    assert lab.named.values("_acme-challenge." + name) == []
    assert os.listdir(site.target["folder"]) == []


def noted_of(site):
    """All that is in the state folder."""
    text = ""
    for folder, _, files in os.walk(os.path.join(os.path.dirname(site.command.config_file), "state")):
        for entry in files:
            with open(os.path.join(folder, entry), encoding="utf-8") as file:
                text += file.read()
    return text


def test_hook__a_removal_that_fails_is_tried_again(lab, name):
    hooks = lab.hooks()
    broken = os.path.join(hooks.folder, "broken")
    text = hook.DEHYDRATED.replace(
        "clean_challenge() {{\n", f"clean_challenge() {{{{\n[ ! -e {broken} ] || exit 4\n"
    )
    hooks.write("broken", "")
    text = text.replace("{note}", f"echo {SECRET}\n{{note}}")
    site = lab.site("dehydrated", name, hooks=hooks, program=[hooks.make("hook2.sh", text)])
    run = site.command.run("issue", "shop")
    assert "hook2.sh (remove)" in run.err and "status 4" in run.err, run
    (value,) = lab.named.values("_acme-challenge." + name)
    noted = noted_of(site)
    assert value in noted and SECRET not in noted, "what it is to be told again, and no more"
    os.unlink(broken)
    run = site.command.run("renew", "shop", "--force")
    assert run.status == 0, run
    assert lab.named.values("_acme-challenge." + name) == []


def failing_deploy(hooks, times):
    """A deploy hook that fails so many times, in the middle of what it does."""
    count = os.path.join(hooks.folder, "failures")
    more = "echo x >> {0}; [ $(wc -l < {0}) -gt {1} ] || {{{{ echo 'server said no'; exit 3; }}}}\n"
    text = hook.CERTBOT_DEPLOY.replace("{reload}", more.format(count, times) + "{reload}")
    return [hooks.make("deploy2.sh", text)]


def issued(lab, name, style="certbot", **more):
    """A certificate that is issued and served."""
    site = lab.site(style, name, **more)
    site.does("issue", "shop")
    assert lab.served(name) == site.fingerprint()
    return site


def test_hook__a_deployment_that_fails_puts_the_old_one_back_and_says_so_to_the_hook(lab, name):
    site = issued(lab, name)
    before, files = lab.served(name), site.contents()
    site.on(deploy_program=failing_deploy(site.hooks, 1))
    error, _run = site.fails("renew", "shop", "--force")
    said(error, "EREFUSED", "deploy2.sh (deploy)", "status 3", "server said no")
    assert site.contents() == files and site.state() == "rolled-back"
    assert lab.served(name) == before
    assert site.hooks.verbs()[-2:] == ["deploy", "deploy"], "with the new one, then the old one"
    site.does("deploy", "shop")
    assert lab.served(name) == site.fingerprint() != before


def test_hook__what_cannot_be_taken_back_is_told(lab, name):
    site = issued(lab, name)
    files = site.contents()
    site.on(deploy_program=failing_deploy(site.hooks, 2))
    error, _run = site.fails("renew", "shop", "--force")
    said(error, "EROLLBACK", "could not be taken back", "server said no")
    assert site.contents() == files and site.state() == "inconsistent"
    site.does("renew", "shop")
    assert lab.served(name) == site.fingerprint()


def test_hook__a_first_deployment_that_fails_leaves_nothing(lab, name):
    hooks = lab.hooks()
    site = lab.site("certbot", name, hooks=hooks, deploy_program=["/bin/false"])
    error, _run = site.fails("issue", "shop")
    said(error, "EREFUSED", "/bin/false (deploy)", "status 1")
    assert os.listdir(site.target["folder"]) == []


def test_hook__a_hook_that_does_not_do_what_it_says_is_found_out(lab, name):
    site = issued(lab, name)
    before, files = lab.served(name), site.contents()
    site.on(deploy_program=["/bin/true"], timeout_ms=2000)
    error, _run = site.fails("renew", "shop", "--force")
    assert error["code"] == "CERTAUTO_ENOTSERVED", error
    assert site.contents() == files and lab.served(name) == before


# ---- hanging, talking ----


def hanging(hooks, name, template, before):
    """A program that starts another, and both wait."""
    pid = os.path.join(hooks.folder, "pid")
    text = template.replace(before, f"sleep 600 & echo $! > {pid}; wait; {before}", 1)
    return [hooks.make(name, text)], pid


def is_gone(pid_file):
    """The process of that file has been ended."""
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_hook__one_that_hangs_is_ended_with_all_it_has_started(lab, name):
    hooks = lab.hooks()
    program, pid = hanging(hooks, "hang.sh", hook.CERTBOT_AUTH, "echo ")
    cleanup = [hooks.make("clean.sh", hook.CERTBOT_CLEANUP.replace("[ ", "# "))]
    options = {"program": program, "cleanup_program": cleanup, "timeout_ms": 2000}
    site = lab.site("certbot", name, hooks=hooks, **options)
    error, _run = site.fails("issue", "shop")
    said(error, "ETIMEDOUT", "hang.sh (add)", "2000 ms", "timeout_ms")
    wait_until(lambda: is_gone(pid), "what it had started to end")
    assert hooks.verbs() == ["auth", "cleanup"]


def test_hook__a_deploy_hook_that_hangs_is_taken_back(lab, name):
    site = issued(lab, name)
    before, files = lab.served(name), site.contents()
    flag = os.path.join(site.hooks.folder, "hung")
    text = hook.CERTBOT_DEPLOY.replace(
        "{reload}", f"[ -e {flag} ] || {{{{ touch {flag}; sleep 600; }}}}\n{{reload}}"
    )
    site.on(deploy_program=[site.hooks.make("hang.sh", text)], timeout_ms=2000)
    error, _run = site.fails("renew", "shop", "--force")
    said(error, "ETIMEDOUT", "hang.sh (deploy)")
    assert site.contents() == files and lab.served(name) == before


def test_hook__what_a_program_prints_is_shown_without_secrets(lab, name):
    hooks = lab.hooks()
    environment = ["API_TOKEN", "MODE=yes"]
    text = (
        '#!/bin/bash -x\necho "$API_TOKEN $CERTBOT_VALIDATION $CERTBOT_TOKEN mode $MODE"\n'
        'echo "token is $API_TOKEN" >&2\nexit 7\n'
    )
    site = lab.site("certbot", name, challenge="http-01", hooks=hooks, cleanup_program=None,
                    program=[hooks.write("loud.sh", text)], environment=environment)  # fmt: skip
    run = site.command.run("-vv", "issue", "shop", env={"API_TOKEN": SECRET})
    assert run.status == 1 and "status 7" in run.err and "token is ***" in run.err, run
    assert SECRET not in run.out + run.err and "mode yes" in run.err, run
    value = run.err.split("CERTBOT_VALIDATION")
    assert len(value) == 1 and "*** *** *** mode" in run.err, run


def test_hook__a_key_that_is_printed_is_not_shown(lab, name):
    site = issued(lab, name)
    text = "#!/bin/sh\ncd $RENEWED_LINEAGE; cat privkey.pem; grep -v PRIVATE privkey.pem; exit 9\n"
    site.on(deploy_program=[site.hooks.write("key.sh", text)])
    error, run = site.fails("renew", "shop", "--force")
    assert "status 9" in error["message"] and "***" in error["message"]
    lines = site.contents()["privkey.pem"].decode().splitlines()
    keys = [line for line in lines if "--" not in line]
    assert keys and not any(line in run.out + run.err for line in keys)
    assert "PRIVATE" not in run.out + run.err


def test_hook__one_that_talks_without_end_is_not_a_failure_up_to_a_limit(lab, name):
    hooks = lab.hooks()
    text = hook.LEGO.replace("set -eu\n", "set -eu\nhead -c 1000000 /dev/zero | tr '\\0' x\n")
    site = lab.site("lego", name, hooks=hooks, program=[hooks.make("chatty.sh", text)])
    site.does("issue", "shop")
    site.on(program=[hooks.make("endless.sh", hook.LEGO + "[ $1 = cleanup ] || yes $3\n")])
    edit(site.command, lambda config: config["certificates"]["shop"]["names"].append("2." + name))
    error, _run = site.fails("renew", "shop")
    said(error, "EPROTO", "endless.sh (add)", "more than 4 MiB", "***\\\\x0a***")
    assert lab.named.values("_acme-challenge.2." + name) == []


# ---- killed ----


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_hook__a_run_that_ends_in_the_middle_leaves_no_record(lab, name, number):
    hooks = lab.hooks()
    reached = os.path.join(hooks.folder, "reached")
    text = f"[ $1 = cleanup ] || [ -e {reached} ] || {{{{ touch {reached}; sleep 60; }}}}\n"
    text = hook.LEGO + text
    site = lab.site("lego", name, hooks=hooks, program=[hooks.make("slow.sh", text)])
    process = site.command.start("issue", "shop")
    wait_until(lambda: os.path.exists(reached), "the record to be added")
    process.send_signal(number)
    site.command.finish(process)
    if number == signal.SIGINT:
        assert lab.named.values("_acme-challenge." + name) == []
    site.does("renew", "shop")
    assert lab.named.values("_acme-challenge." + name) == []
    added = [argv[2] for argv, _ in hooks.calls() if argv[0] == "present"]
    removed = [argv[2] for argv, _ in hooks.calls() if argv[0] == "cleanup"]
    assert set(added) == set(removed)
    assert lab.served(name) == site.fingerprint()


def test_hook__a_killed_deployment_is_ended_by_the_next_run(lab, name):
    site = issued(lab, name)
    reached = os.path.join(site.hooks.folder, "reached")
    text = f"#!/bin/sh\ntouch {reached}\nsleep 60\n"
    good = site.target["deploy_program"]
    site.on(deploy_program=[site.hooks.write("slow.sh", text)])
    process = site.command.start("renew", "shop", "--force")
    wait_until(lambda: os.path.exists(reached), "the deploy hook to run")
    process.send_signal(signal.SIGKILL)
    site.command.finish(process)
    site.on(deploy_program=good)
    site.does("renew", "shop")
    assert lab.served(name) == site.fingerprint() and site.state() == "deployed"
    assert sorted(site.contents()) == ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]
