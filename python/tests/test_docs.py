"""What documentation shows is what happens."""

import contextlib
import doctest
import importlib
import io
import pathlib
import re
import runpy

import pytest
import torch

HERE = pathlib.Path(__file__).parent.parent


MODULES = ["ttcore", "ttcore.nn", "ttcore.collection", "ttcore.config", "ttcore.keyed", "ttcore.fbtt._bag", "ttcore.fbtt._shapes"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0 and found.failed == 0


def test_examples_of_the_readme():
    blocks = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec("\n".join(blocks), {})
    want = f"{torch.Size([2, 16])} 1817600", f"{torch.Size([128, 16])} {torch.Size([128, 32])}"
    assert tuple(said.getvalue().splitlines()) == want


def test_dlrm(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["dlrm.py", "--lines", "4096", "--batch", "256", "--rows", "20000"])
    runpy.run_path(str(HERE / "examples" / "dlrm.py"), run_name="__main__")
    said = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss ([0-9.]+)", said)]
    assert len(losses) > 2 and losses[-1] < losses[0] and "times smaller" in said, said


def test_stubs_name_what_there_is():
    from ttcore import _ttcore

    text = (pathlib.Path(_ttcore.__file__).parent / "_ttcore.pyi").read_text()
    named = set(re.findall(r"^(?:class|def) (\w+)", text, re.MULTILINE))
    assert named == {name for name in dir(_ttcore) if not name.startswith("_")}
    for kind in "Shape", "Table", "Session", "Pass":
        body = text.split(f"class {kind}:")[1].split("\n@final")[0]
        methods = set(re.findall(r"^    (?:def )?(\w+)[(:]", body, re.MULTILINE)) - {"cls", "self"}
        public = {name for name in dir(getattr(_ttcore, kind)) if not name.startswith("_")}
        assert public <= methods, (kind, public - methods)
