"""Checks the alert rules: they are valid, fire when they should, name only metrics that exist, and have a page."""

import copy
import re
import subprocess

from whence import TREE, Violation

RULES = TREE / "deploy/helm/whence/files/alerts.yaml"
TESTS = TREE / "tests/deploy/alerts.test.yaml"
PAGE = TREE / "docs/operations.md"
# What is not a metric in an expression.
FUNCTIONS = re.compile(r"\bwhence_\w+")


def metrics():
    """Returns the names of all metrics, from the page that is made of the program's catalog."""
    return set(re.findall(r"^\| `(whence_\w+)`", (TREE / "docs/metrics.md").read_text(), re.MULTILINE))


def alerts(rules):
    return [rule for group in rules["groups"] for rule in group["rules"]]


def check_metrics(place, expression):
    if unknown := set(FUNCTIONS.findall(expression)) - metrics():
        raise Violation(f"{place}: docs/metrics.md does not list {sorted(unknown)}")


def check_alerts(folder):
    """Checks all rules. Returns figures."""
    import yaml

    rules, tests = yaml.safe_load(RULES.read_text()), yaml.safe_load(TESTS.read_text())
    for rule in alerts(rules):
        check_metrics(rule["alert"], rule["expr"])
        check_page(rule)
        check_cases(rule["alert"], tests)
    if failed := failures(folder, rules, tests):
        raise Violation(f"promtool: {failed}")
    return f"{len(alerts(rules))} alerts fire and are silent as they should, {check_mistakes(folder, rules, tests)} planted mistakes found"


def check_page(rule):
    """Fails unless the alert has a page with what is asked of one."""
    name = rule["alert"]
    if rule["annotations"]["runbook"] != f"docs/operations.md#{name.lower()}":
        raise Violation(f"{name}: its runbook is {rule['annotations']['runbook']}")
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for part in ["**Symptom.**", "**Look.**", "**Do.**", "```console"]:
        if not found or part not in found[1]:
            raise Violation(f"docs/operations.md has no `{part}` for {name}")


def check_cases(name, tests):
    """Fails unless there is a case in which the alert fires, and one in which it does not."""
    cases = [case["exp_alerts"] for test in tests["tests"] for case in test["alert_rule_test"] if case["alertname"] == name]
    if not any(cases) or all(cases):
        raise Violation(f"{name}: of its {len(cases)} cases, {sum(map(bool, cases))} fire")


def failures(folder, rules, tests):
    """Returns what promtool says against rules and their tests; nothing if they are right."""
    import yaml

    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    (folder / "tests.yaml").write_text(yaml.safe_dump({**tests, "rule_files": ["rules.yaml"]}))
    for command in [["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]]:
        ran = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True)
        if ran.returncode:
            return ran.stdout + ran.stderr
    return ""


def check_mistakes(folder, rules, tests):
    """Changes each rule and fails if its tests do not notice. Returns the number of changes."""
    planted = 0
    for number, rule in enumerate(alerts(rules)):
        changes = [{"expr": "vector(0) > 1"}, {"expr": "vector(1)"}, {"for": "1d"}, {"labels": {"severity": "none"}}]
        if "for" in rule:
            changes.append({"for": "0s"})
        changes += [{"expr": rule["expr"].replace(name, "whence_other")} for name in set(FUNCTIONS.findall(rule["expr"]))]
        # Each number that is compared with something.
        changes += [{"expr": rule["expr"][:found.start(1)] + "1e9" + rule["expr"][found.end(1):]}
                    for found in re.finditer(r"> (\d+(?:\.\d+)?)", rule["expr"])]
        for change in changes:
            changed = copy.deepcopy(rules)
            alerts(changed)[number].update(change)
            if not failures(folder, changed, tests):
                raise Violation(f"{rule['alert']}: no test notices the change {change}")
            planted += 1
    for broken in ["sum(whence_jobs", "nosuchfunction(whence_jobs)"]:
        changed = copy.deepcopy(rules)
        alerts(changed)[0]["expr"] = broken
        if not failures(folder, changed, tests):
            raise Violation(f"promtool takes `{broken}`")
        planted += 1
    try:
        check_metrics("a mistake", "sum(whence_slot)")
    except Violation:
        return planted + 1
    raise Violation("a metric that does not exist was not noticed")
