"""Types at the prompt of `whence sql` through a pseudo-terminal, and prints what it shows.

    python3 prompt.py WHENCE ROOT STATE_FOLDER
"""

import os
import pty
import re
import select
import sys
import time

whence, root, state = sys.argv[1:4]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(XDG_STATE_HOME=state, TERM="xterm", NO_COLOR="1", COLUMNS="200")
    os.execv(whence, [whence, "sql", "--root", root])

seen = ""


def wait_for(text, begin=0, seconds=60):
    """Reads until the text is shown after the character `begin`. Returns where it ends."""
    global seen
    until = time.monotonic() + seconds
    while text not in seen[begin:]:
        if time.monotonic() > until:
            sys.exit(f"no {text!r} in:\n{seen[begin:]}")
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown = os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
            seen += re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", shown)
    return seen.find(text, begin) + len(text)


def type_text(text):
    os.write(terminal, text.encode())


at = wait_for("whence> ")
type_text("\\d step_scores\r")
at = wait_for("Name of the step function.", at)
at = wait_for("whence> ", at)
# A query over two lines, with a table completed by the tabulator.
type_text("SELECT count(*) AS aligned\r")
type_text("FROM align\t;\r")
at = wait_for("| aligned |", at)
at = wait_for("whence> ", at)
# A mistake does not end the prompt.
type_text("SELECT nothing FROM jobs;\r")
at = wait_for("no column `nothing`", at)
at = wait_for("whence> ", at)
# Ctrl-C stops a query that would take hours, and the prompt goes on.
type_text(
    "SELECT count(*) FROM attributions a, attributions b, attributions c, attributions d"
    " WHERE a.score + b.score + c.score + d.score > 5;\r"
)
time.sleep(1.5)
type_text("\x03")
at = wait_for("stopped", at)
at = wait_for("whence> ", at)
type_text("SELECT 40 + 2 AS answer;\r")
at = wait_for("| 42", at)
at = wait_for("whence> ", at)
type_text("\\q\r")
_, status = os.waitpid(pid, 0)
history = open(os.path.join(state, "whence/sql_history")).read()
print(os.waitstatus_to_exitcode(status), "40 + 2" in history, "FROM alignments" in history)
