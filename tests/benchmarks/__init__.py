"""Benchmarks, with the libraries' settings of the program: before any of them imports TensorFlow."""

from search.machine.environment import settle_libraries

settle_libraries()
