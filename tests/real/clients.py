"""The clients of others, as Debian ships them: certbot, dehydrated, lego; each with a folder of its
own below that of a lab, and certauto as its hook.

Each is made with the lab (Pebble in it) and the environment its hooks run in.
"""

import glob
import os
import re
import ssl
import subprocess

from . import tls
from .certauto import Run

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)


class Client:
    """One client; run() gives what came of it."""

    name = None

    def __init__(self, lab, env):
        self.lab = lab
        self.folder = lab.new_folder(self.name)
        # Nothing but what a timer would give it.
        self.env = {"PATH": os.environ["PATH"], "HOME": self.folder, "LC_ALL": "C.UTF-8", **env}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def path(self, *names):
        """A path below the folder."""
        return os.path.join(self.folder, *names)

    def execute(self, *argv, env=None):
        """Run it to its end."""
        argv = [str(arg) for arg in argv]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**self.env, **(env or {})},
            cwd=self.folder,
            timeout=120,
            check=False,
        )
        return Run(argv, done.returncode, done.stdout, done.stderr)

    def certificate(self, name):
        """The path of the certificate, with its chain."""
        raise NotImplementedError

    def fingerprint(self, name):
        """SHA-256 of the certificate."""
        with open(self.certificate(name), encoding="ascii") as file:
            pem = PEM.search(file.read())[0]
        return tls.Served(ssl.PEM_cert_to_DER_cert(pem)).fingerprint


class Certbot(Client):
    """certbot's manual plugin. hook: how certauto hook VERB is called."""

    name = "certbot"

    def __init__(self, lab, env, hook):
        super().__init__(lab, {"REQUESTS_CA_BUNDLE": lab.pebble.ca_file, **env})
        self.hook = hook

    def certbot(self, *args, **more):
        """certbot with its folders."""
        folders = [f"--{kind}-dir={self.path(kind)}" for kind in ("config", "work", "logs")]
        # Nobody waits here, not even for a renewal's random moment.
        return self.execute("certbot", *args, *folders, "--no-random-sleep-on-renew", **more)

    def run(self, *names, challenge="http", deploy=True):
        """Get a certificate for names."""
        hooks = ["--manual-auth-hook", self.hook("certbot-auth")]
        hooks += ["--manual-cleanup-hook", self.hook("certbot-cleanup")]
        hooks += ["--deploy-hook", self.hook("certbot-deploy")] if deploy else []
        account = ["--agree-tos", "--register-unsafely-without-email"]
        return self.certbot(
            "certonly",
            "--non-interactive",
            "--manual",
            f"--preferred-challenges={challenge}",
            f"--server={self.lab.pebble.directory}",
            *account,
            *hooks,
            *[arg for name in names for arg in ("-d", name)],
        )

    def certificate(self, name):
        return self.path("config", "live", name, "fullchain.pem")


class Dehydrated(Client):
    """dehydrated with one HOOK, a single path."""

    name = "dehydrated"

    def __init__(self, lab, env, hook, challenge="http-01", **config):
        super().__init__(lab, env)
        for name in ("wellknown", "base", "bin"):
            os.mkdir(self.path(name))
        # It sleeps a second whenever it has asked for something.
        with open(self.path("bin", "sleep"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexec /bin/sleep 0.3\n")
        os.chmod(self.path("bin", "sleep"), 0o755)
        self.env["PATH"] = self.path("bin") + ":" + self.env["PATH"]
        config = {
            "CA": lab.pebble.directory,
            "CURL_OPTS": f"--cacert {lab.pebble.ca_file}",
            "BASEDIR": self.path("base"),
            "WELLKNOWN": self.path("wellknown"),
            "HOOK": hook,
            "CHALLENGETYPE": challenge,
            "KEY_ALGO": "prime256v1",
            "KEYSIZE": "2048",  # of the account
            **config,
        }
        with open(self.path("config"), "w", encoding="utf-8") as file:
            file.writelines(f'{name}="{value}"\n' for name, value in config.items())

    def dehydrated(self, *args, **more):
        """dehydrated with its configuration."""
        return self.execute("dehydrated", *args, "--config", self.path("config"), **more)

    def run(self, *names, more=(), **how):
        """Get a certificate for names, or look after those that are there."""
        if not os.path.exists(self.path("base", "accounts")):
            run = self.dehydrated("--register", "--accept-terms")
            assert run.status == 0, str(run)
        with open(self.path("base", "domains.txt"), "w", encoding="ascii") as file:
            file.write(" ".join(names) + "\n")
        return self.dehydrated("--cron", *more, **how)

    def certificate(self, name):
        return self.path("base", "certs", name, "fullchain.pem")

    def keys(self, name):
        """The files of the keys that it has made for a certificate."""
        return glob.glob(self.path("base", "certs", name, "privkey-*.pem"))


class Lego(Client):
    """lego with the DNS provider exec, or with options of its own for the challenge."""

    name = "lego"

    def __init__(self, lab, env, challenge=("--dns", "exec")):
        super().__init__(lab, {"LEGO_CA_CERTIFICATES": lab.pebble.ca_file, **env})
        self.challenge = challenge

    def run(self, *names, verb="run", more=()):
        """Get a certificate for names."""
        return self.execute(
            "lego",
            "--accept-tos",
            "--email=ops@example.org",
            f"--server={self.lab.pebble.directory}",
            f"--path={self.path('lego')}",
            *self.challenge,
            *[f"--domains={name}" for name in names],
            verb,
            *more,
        )

    def certificate(self, name):
        return self.path("lego", "certificates", name.replace("*", "_") + ".crt")
