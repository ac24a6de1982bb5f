"""Wrong lines, tried one at a time: which single mistakes in the product does no test notice?

    python -m tests.wrong_lines                     all of them, at most 90 minutes on two cores
    python -m tests.wrong_lines --list              what would be tried, and nothing else
    python -m tests.wrong_lines --only held_out     those whose file, function or text has this in it
    python -m tests.wrong_lines --within tests/reports --minutes 10
                                                    with the tests in this folder alone

A wrong line is a function's name, old text, and new text (`wrong_line`). Those that somebody once saw pass all tests,
or feared to, stand in `known`; others are drawn by a seed from the wiring of the product (`drawing`): functions that
pass on what other functions need. No path is written anywhere, so that files may move.

The steps:

1. The checkout is copied; nothing in it is ever changed.
2. The default tests run once on a copy that writes down which test comes through which function (`recording`).
3. Each wrong line is put into a copy, and the tests that come through its function run until one fails, cheap ones
   first (`trying`), in processes forked from one that has TensorFlow already (`fork_server`).

Everything is kept in ``.wrong-lines/TREE/`` as it is found, TREE being a digest of the product and its tests: the same
command goes on where it was interrupted or ran out of time. The end tells the share that was noticed and shows each
line that was not; the exit code is 1 where the share is below 97 % or lines are left untried.

A line that changes nothing a user could see is moved to `known.ACCEPTED`, with the reason.
"""
