"""The README of search.bit as a user would follow it."""

import re
from pathlib import Path

from search import bit


def test_the_readme_s_example_runs_with_the_small_backbone():
    (code,) = re.findall(r"```python\n(.*?)```", (Path(bit.__file__).parent / "README.md").read_text(), re.DOTALL)
    for large, small in (
        ('architecture_of("bit-m-r50x1")', 'architecture_of("bit-small")'),
        ('backbone_weights("bit-m-r50x1", "auto")', 'backbone_weights("bit-small", "random")'),
    ):
        assert large in code
        code = code.replace(large, small)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["features"].shape == (1, bit.SMALL.n_features)
