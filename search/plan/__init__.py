"""What will be run: space, Hyperband plan, what comes next, cost, both protocols' plan."""
