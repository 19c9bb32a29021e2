"""Checks the alert rules: they are valid, fire when they should, name only metrics that exist, and have a page."""

import copy
import re
import subprocess

from whence import TREE, Violation

RULES = TREE / "deploy/helm/whence/files/alerts.yaml"
TESTS = TREE / "tests/deploy/alerts.test.yaml"
PAGE = TREE / "docs/operations.md"
# Metrics of ours in an expression.
NAMES = re.compile(r"\bwhence_\w+")


def metrics():
    """Returns the names of all metrics, from the page that is made of the program's catalog."""
    return set(re.findall(r"^\| `(whence_\w+)`", (TREE / "docs/metrics.md").read_text(), re.MULTILINE))


def alerts(rules):
    return [rule for group in rules["groups"] for rule in group["rules"]]


def check_metrics(place, expression):
    if unknown := set(NAMES.findall(expression)) - metrics():
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
        status, said = promtool(folder, *command)
        if status:
            return said
    return ""


def promtool(folder, *arguments):
    ran = subprocess.run(["promtool", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ran.returncode, ran.stdout


def check_mistakes(folder, rules, tests):
    """Changes each rule in many ways and fails if its tests do not notice. Returns the number of changes."""
    import yaml

    changed = {}
    for number, rule in enumerate(alerts(rules)):
        for change in changes_of(rule):
            wrong = copy.deepcopy(rules)
            alerts(wrong)[number].update(change)
            name = f"changed{len(changed)}"
            (folder / f"{name}.rules.yaml").write_text(yaml.safe_dump(wrong))
            own = [test for test in tests["tests"] if any(case["alertname"] == rule["alert"] for case in test["alert_rule_test"])]
            (folder / f"{name}.yaml").write_text(yaml.safe_dump({**tests, "tests": own, "rule_files": [f"{name}.rules.yaml"]}))
            changed[f"{name}.yaml"] = f"{rule['alert']}: {change}"
    _, said = promtool(folder, "test", "rules", *changed)
    outcomes = dict(re.findall(r"Unit Testing:\s+(\S+)\s+(SUCCESS|FAILED)", said))
    if outcomes.keys() != changed.keys():
        raise Violation(f"promtool tells nothing of {sorted(changed.keys() - outcomes.keys())}")
    if unnoticed := [changed[name] for name, outcome in outcomes.items() if outcome == "SUCCESS"]:
        raise Violation(f"no test notices the changes {unnoticed}")
    return len(changed) + check_broken_rules(folder, rules, tests)


def changes_of(rule):
    """Returns changes of a rule, each of which makes it wrong."""
    changes = [{"expr": "vector(0) > 1"}, {"expr": "vector(1)"}, {"for": "1d"}, {"labels": {"severity": "none"}}]
    if "for" in rule:
        changes.append({"for": "0s"})
    changes += [{"expr": rule["expr"].replace(name, "whence_other")} for name in set(NAMES.findall(rule["expr"]))]
    # Each number that something is compared with.
    return changes + [{"expr": rule["expr"][:found.start(1)] + "1e9" + rule["expr"][found.end(1):]}
                      for found in re.finditer(r"[>=] (\d+(?:\.\d+)?)", rule["expr"])]


def check_broken_rules(folder, rules, tests):
    """Fails if an expression that is wrong is taken. Returns their number."""
    for broken in ["sum(whence_jobs", "nosuchfunction(whence_jobs)"]:
        changed = copy.deepcopy(rules)
        alerts(changed)[0]["expr"] = broken
        if not failures(folder, changed, tests):
            raise Violation(f"promtool takes `{broken}`")
    try:
        check_metrics("a mistake", "sum(whence_slot)")
    except Violation:
        return 3
    raise Violation("a metric that does not exist was not noticed")
