#!/usr/bin/python3
"""Types into a real bash or zsh on a terminal of its own, presses TAB, and tells what came of it.

usage: typed.py bash|zsh CERTAUTO TEXT...

In the current folder, with the completion that CERTAUTO prints. For each TEXT two lines: what the
command line is after TAB, and what was offered, in the order of the alphabet. "^" in a TEXT is where
the cursor is when TAB is pressed, if not at its end.
"""

import fcntl
import os
import pty
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time

PATIENCE_S = 20
TAB, TELL, CLEAR, LEFT = b"\t", b"\x18\x02", b"\x15", b"\x02"

BASH = """
set -o emacs
bind 'set bell-style none' 'set completion-query-items 0' 'set page-completions off'
PATH={folder}:$PATH
source <(certauto completion bash)
recorded() {{ _certauto "$@"; printf '%s\\n' "${{COMPREPLY[@]}}" >{offered}; }}
complete -F recorded certauto
tell() {{ printf '%s\\n' "$READLINE_LINE" >{line}.new; mv {line}.new {line}; READLINE_LINE=; READLINE_POINT=0; }}
bind -x '"\\C-x\\C-b": tell'
echo ready >{line}
"""

ZSH = """
bindkey -e
setopt no_beep
unsetopt prompt_cr zle_bracketed_paste 2>/dev/null
unsetopt auto_list auto_menu
path=({folder} $path)
autoload -Uz compinit
compinit -C -d {dump}
source <(certauto completion zsh)
# All that is added goes through this; with -O, -A or -D it is only asked what would be.
compadd() {{
	local -a hits
	if [[ ${{@[1,(i)(-|--)]}} == *-[OAD]* ]]; then builtin compadd "$@"; return; fi
	builtin compadd -O hits "$@"
	print -rl -- $hits >>{offered}
	builtin compadd "$@"
}}
tell() {{ print -r -- "$BUFFER" >{line}.new; mv {line}.new {line}; BUFFER=; }}
zle -N tell
bindkey '^X^B' tell
zle-line-init() {{ [[ -e {line}.ready ]] || {{ : >{line}.ready; print ready >{line}; }}; }}
zle -N zle-line-init
"""


class Terminal:
    """A shell that types as it is told."""

    def __init__(self, shell, program, scratch):
        self.line = os.path.join(scratch, "line")
        self.offered = os.path.join(scratch, "offered")
        rc = os.path.join(scratch, ".zshrc")
        words = {
            "folder": shlex.quote(os.path.dirname(program)),
            "line": shlex.quote(self.line),
            # What zsh finds out once for all tests of a file.
            "dump": shlex.quote(os.environ.get("BATS_FILE_TMPDIR", scratch) + "/compdump"),
            "offered": shlex.quote(self.offered),
        }
        with open(rc, "w", encoding="utf-8") as file:
            file.write((BASH if shell == "bash" else ZSH).format(**words))
        argv = ["bash", "--noprofile", "--rcfile", rc, "-i"] if shell == "bash" else ["zsh", "-d", "-i"]
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 1000, 300, 0, 0))
        environment = {**os.environ, "ZDOTDIR": scratch, "TERM": "vt100", "PS1": "> ", "INPUTRC": "/dev/null"}
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.told()

    def told(self):
        """What the shell has written down; what it shows meanwhile is kept for a failure."""
        deadline = time.monotonic() + PATIENCE_S
        shown = b""
        while not os.path.exists(self.line):
            if time.monotonic() > deadline:
                sys.exit(f"typed.py: no answer; it shows: {shown[-2000:]!r}")
            if select.select([self.master], [], [], 0.01)[0]:
                shown += os.read(self.master, 65536)
        with open(self.line, encoding="utf-8") as file:
            text = file.read().rstrip("\n")
        os.unlink(self.line)
        return text

    def type(self, text):
        """The line after TAB, and what was offered."""
        before, _, after = text.partition("^")
        if os.path.exists(self.offered):
            os.unlink(self.offered)
        os.write(self.master, (before + after).encode() + LEFT * len(after) + TAB + TELL)
        line = self.told()
        offered = set()
        if os.path.exists(self.offered):
            with open(self.offered, encoding="utf-8") as file:
                offered = {word.rstrip("\n") for word in file if word != "\n"}
        return line, sorted(offered)

    def close(self):
        """The end of the shell, which has no jobs."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def main(shell, program, *texts):
    """Type all, in one shell."""
    with tempfile.TemporaryDirectory() as scratch:
        terminal = Terminal(shell, program, scratch)
        try:
            for text in texts:
                line, offered = terminal.type(text)
                print(line)
                print(*offered)
        finally:
            terminal.close()


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("bash", "zsh"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
