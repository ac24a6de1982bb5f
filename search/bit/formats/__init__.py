"""The files that BiT's weights are found in, each read as data: what is declared first, then the arrays that fit."""
