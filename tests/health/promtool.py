"""Runs promtool on signals, changed or not, and tells which of them failed."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from perene.health.prove import promtool_test, rule_file, rule_of
from perene.health.signals import SIGNALS, Rule
from tests.health.mutants import Mutant


def failing(directory: Path, rules: Mapping[str, Rule | Mutant]) -> tuple[set[str], str]:
    """The signals whose proof fails with the given (perhaps mutated) rules, and what promtool said."""
    files = []
    for signal in SIGNALS:
        if signal.name in rules:
            rule, target = rule_of(signal)
            given = rules[signal.name]
            changed, only = (given.rule, given.cases) if isinstance(given, Mutant) else (given, "")
            (directory / f"{signal.name}.rules.json").write_text(json.dumps(rule_file(changed)))
            test = promtool_test(signal, rule, target, f"{signal.name}.rules.json", only)
            (directory / f"{signal.name}.test.json").write_text(json.dumps(test))
            files.append(f"{signal.name}.test.json")
    # promtool makes a small database per test: in memory it takes half the time
    memory = {"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK) else {}
    command = ["promtool", "test", "rules", *files]
    run = subprocess.run(command, cwd=directory, env=os.environ | memory, capture_output=True, text=True, check=False)
    # the verdict of each file stands on stdout, the differences on stderr
    parts = re.split(r"Unit Testing:  (\S+)\.test\.json\n", run.stdout)
    good = {name for name, text in zip(parts[1::2], parts[2::2], strict=True) if "SUCCESS" in text}
    assert set(parts[1::2]) == set(rules), f"promtool did not judge every signal:\n{run.stdout}{run.stderr}"
    return set(rules) - good, run.stderr


def survivors(directory: Path, lists: Mapping[str, list[Mutant]]) -> list[str]:
    """The mutants that no case notices. One promtool run judges the n-th mutant of every signal at once."""
    survived = []
    for number in range(max(map(len, lists.values()))):
        row = {name: mutants[number] for name, mutants in lists.items() if number < len(mutants)}
        place = directory / str(number)
        place.mkdir()
        caught, _ = failing(place, row)
        survived += [f"{name}: {row[name].what}" for name in sorted(set(row) - caught)]
    return survived
