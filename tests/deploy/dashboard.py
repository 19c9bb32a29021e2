"""Checks the dashboard of Grafana: its expressions are valid and name only metrics that exist, and no panel covers another."""

import copy
import json

from alerts import check_metrics, failures
from whence import TREE, Violation

DASHBOARD = TREE / "deploy/helm/whence/files/dashboard.json"
# What Grafana puts in the place of its variables.
VARIABLES = {"$namespace": ".*", "$job": ".*", "$__rate_interval": "1m"}


def expressions(dashboard):
    """Returns the expressions of all panels, by their titles."""
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    return [(title, filled(expression)) for title, expression in found]


def filled(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def check(folder, dashboard):
    for title, expression in expressions(dashboard):
        check_metrics(title, expression)
        if "$" in expression:
            raise Violation(f"{title}: unknown variable in {expression}")
        rules = {"groups": [{"name": "panel", "rules": [{"record": "panel", "expr": expression}]}]}
        if failed := failures(folder, rules, {"tests": []}):
            raise Violation(f"{title}: {failed}")
    panels = dashboard["panels"]
    cells = [(x, y) for panel in panels for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
             for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])]
    if len(cells) != len(set(cells)) or max(x for x, _ in cells) > 23:
        raise Violation("a panel covers another, or is outside the page")
    if len({panel["id"] for panel in panels}) != len(panels):
        raise Violation("two panels have the same id")
    if missing := [panel["title"] for panel in panels if not panel.get("description")]:
        raise Violation(f"panels without a description: {missing}")


def check_dashboard(folder):
    """Checks the dashboard. Returns figures."""
    dashboard = json.loads(DASHBOARD.read_text())
    check(folder, dashboard)
    mistakes = [
        lambda panel: panel["targets"][0].update(expr="sum(whence_slot)"),
        lambda panel: panel["targets"][0].update(expr="sum(whence_slots"),
        lambda panel: panel["targets"][0].update(expr='whence_slots{a="$cluster"}'),
        lambda panel: panel["gridPos"].update(w=panel["gridPos"]["w"] + 1),
        lambda panel: panel.update(id=dashboard["panels"][1]["id"]),
        lambda panel: panel.pop("description"),
    ]
    for mistake in mistakes:
        changed = copy.deepcopy(dashboard)
        mistake(changed["panels"][0])
        try:
            check(folder, changed)
        except Violation:
            continue
        raise Violation(f"a planted mistake was not found: {changed['panels'][0]}")
    return f"{len(dashboard['panels'])} panels with {len(expressions(dashboard))} expressions, {len(mistakes)} planted mistakes found"
