"""Plan of a search: space, Hyperband plan, what comes next, cost, both protocols' plan."""
