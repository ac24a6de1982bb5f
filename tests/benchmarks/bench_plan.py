"""The plans for 1 to 120 trials of 30 epochs, factor 3, as CSV: tables/plans.csv is what this prints.

A row: the bound, then what the plan has of it: trials, configurations, epochs, trials at the full budget.
"""

from pathlib import Path

from search.plan.hyperband import plan_hyperband

TABLE = Path(__file__).parent / "tables" / "plans.csv"


def table() -> str:
    """The table as text, a line a bound."""
    plans = [plan_hyperband(bound) for bound in range(1, 121)]
    rows = [(p.max_trials, p.trials, p.configurations, p.epochs, p.full_budget_trials) for p in plans]
    lines = ["max_trials,trials,configurations,epochs,full_budget_trials", *(",".join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
