"""Google's BiT: architecture, layers, graph, weights, where they come from, whether they are genuine."""
