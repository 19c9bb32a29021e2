"""Checks that the programs take the flags and the variables that containers and services give them."""

import json
import os
import re
import subprocess

from whence import Violation

PROGRAMS = ["whence", "whence-coordinator", "whence-worker"]
# Read by the program, but not as flags.
OTHER_VARIABLES = {"WHENCE_CACHE", "WHENCE_LOG_FORMAT"}
# Takes the place of a program: notes how it was called, and prints what `submit --static` prints first.
RECORDER = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]), file=calls)
print("file:///root/jobs/jx42le7gew7cmml7hvhm56o22u\\n\\n# In one shell:")
"""


class Flags:
    """The programs in a folder, and what they accept."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.recorders = folder / "recorders"
        self.recorders.mkdir()
        for name in PROGRAMS:
            (self.recorders / name).write_text(RECORDER)
            (self.recorders / name).chmod(0o755)
        helps = [self.help("whence", command) for command in ("coordinator", "worker", "work", "submit")]
        self.variables = set(re.findall(r"\[env:\s+(\w+)=", "".join(helps))) | OTHER_VARIABLES

    def help(self, program, *arguments):
        """Returns the help of a command with its arguments, of which those before `--help` are parsed."""
        ran = subprocess.run([self.programs / program, *arguments, "--help"], env={"PATH": os.environ["PATH"]},
                             capture_output=True, text=True)
        if ran.returncode:
            raise Violation(f"{program} {' '.join(arguments)}: {ran.stderr.strip()}")
        return ran.stdout

    def check(self, name, command, environment):
        """Checks every call of a program that a command makes, and its variables. Returns how many calls it makes."""
        self.check_variables(name, environment)
        calls = self.calls(command, environment)
        if not calls:
            raise Violation(f"{name}: `{command[0]}` calls no program of ours")
        for program, *arguments in calls:
            self.help(program, *arguments)
        return len(calls)

    def check_variables(self, name, variables):
        ours = {variable for variable in variables if variable.startswith("WHENCE_")}
        if unknown := sorted(ours - self.variables):
            raise Violation(f"{name}: sets {unknown}, which no program reads")

    def calls(self, command, environment):
        """Returns every call of a program that a command makes, which is run with recorders in their places."""
        record = self.folder / "calls"
        record.write_text("")
        path = f"{self.recorders}:{os.environ['PATH']}"
        subprocess.run([expand(word, environment) for word in command], check=True, stdout=subprocess.DEVNULL,
                       env={"JOB_COMPLETION_INDEX": "0", **environment, "PATH": path, "CALLS": str(record)})
        return [json.loads(line) for line in record.read_text().splitlines()]


def expand(word, environment):
    """Puts the values of variables in the place of `$(NAME)`, as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), word)
