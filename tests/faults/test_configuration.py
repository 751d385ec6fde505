"""Faults of a configuration: a clear error with file, key and value, exit code 2, nothing written, soon and small."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skysift.cli import main

GOOD = """\
run: test
observation: {region: {radius: 20 deg}}
simulate: {truth: {gce: 0.9, model_o_gas: 8}}
model:
  components:
    diffuse: {template: p6v11, norm: {lognormal: [12, 0.5]}, modulate: {lengthscale: 0.2 rad, variance: 0.5}}
    gce: {template: nfw_squared, norm: {uniform: [0, 1.5]}}
fits:
  mvn: [map, {svi: {guide: mvn, lr: 1e-3}}]
"""
MARKER = "marker"
SYSTEM = f"__import__('os').system('touch {MARKER}')"


@pytest.fixture
def validate(tmp_path, monkeypatch, capsys):
    """Validate a text as a file in an empty folder: exit code, output, errors; nothing may appear in the folder."""
    monkeypatch.chdir(tmp_path)

    def run(text):
        if text is not None:
            Path("my.yaml").write_text(text, encoding="utf-8")
        before, handler = sorted(Path().iterdir()), signal.getsignal(signal.SIGTERM)
        started = time.process_time()
        try:
            with pytest.raises(SystemExit) as caught:
                main(["validate", "my.yaml"])
        finally:
            signal.signal(signal.SIGTERM, handler)
        assert time.process_time() - started < 1
        assert sorted(Path().iterdir()) == before
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


def test_the_text_that_these_faults_spoil_is_sound(validate):
    code, out, err = validate(GOOD)
    assert (code, err) == (0, "")
    assert "map > svi of diffuse, gce" in out


FAULTS = {
    # row: (what to replace, by what, place, field, found, remedy)
    "20 unknown key": ("guide: mvn", "guid: mvn", 9, "fits.mvn[1].svi.guid", "'guid'", "did you mean 'guide'?"),
    "20 unknown key at the top": ("run: test", "run: test\nsead: 1", 2, "sead", "'sead'", "did you mean 'seed'?"),
    "20 unknown key in a prior": (
        "{uniform: [0, 1.5]}", "{unifrom: [0, 1.5]}", 7, "model.components.gce.norm.unifrom", "'unifrom'", "'uniform'",
    ),
    "20 wrong type": ("lr: 1e-3", "lr: fast", 9, "fits.mvn[1].svi.lr", "'fast'", "0.5 or 1e-3"),
    "20 a word for a whole number": (
        "lr: 1e-3", "steps: two", 9, "fits.mvn[1].svi.steps", "'two'", "such as 1 or 20",
    ),
    "20 a list for a mapping": ("{radius: 20 deg}", "[20 deg]", 2, "observation.region", "['20 deg']", "region: {"),
    "20 out of range": ("lr: 1e-3", "lr: 0", 9, "fits.mvn[1].svi.lr", "0", "lr: 0.01"),
    "20 unknown choice": ("guide: mvn", "guide: mvm", 9, "fits.mvn[1].svi.guide", "'mvm'", "did you mean 'mvn'?"),
    "20 unknown engine": ("[map,", "[mapp,", 9, "fits.mvn[0]", "mapp", "did you mean 'map'?"),
    "20 missing key": ("template: nfw_squared, ", "", 7, "model.components.gce.template", "nothing", "template: p6v11"),
    "21 yes for a number": ("lr: 1e-3", "lr: yes", 9, "fits.mvn[1].svi.lr", "True", "write a number"),
    "21 yes for a name": ("run: test", "run: yes", 1, "run", "True", "in quotes"),
    "21 a number for a name": ("run: test", "run: 7", 1, "run", "7", "in quotes"),
    "21 a leading zero": ("lr: 1e-3", "lr: 012", 9, "fits.mvn[1].svi.lr", "'012'", "in quotes"),
    "21 a leading zero as text": ("lr: 1e-3", "lr: '012'", 9, "fits.mvn[1].svi.lr", "'012'", "leave the leading zero"),
    "21 a date": ("run: test", "run: 2024-01-01", 1, "run", "a date", "in quotes"),
    "21 a time": ("run: test", "run: 1:30", 1, "run", "base 60", "in quotes"),
    "21 not a number": ("lr: 1e-3", "lr: .nan", 9, "fits.mvn[1].svi.lr", "'.nan'", "plain number"),
    "22 duplicate key": ("fits:", "run: again\nfits:", 8, "run", "in line 1 and in line 8", "rename one"),
    "22 duplicate component": (
        "fits:", "    gce: {template: disk, norm: 1}\nfits:", 8,
        "model.components.gce", "in line 7 and in line 8", "rename",
    ),
    "22 named like a parameter": (
        "fits:", "    gce_norm: {template: disk, norm: 1}\nfits:", 8,
        "model.components.gce_norm", "component 'gce'", "rename",
    ),
    "23 no unit": ("20 deg", "20", 2, "observation.region.radius", "20", "20 deg"),
    "23 wrong kind": ("20 deg", "20 GeV", 2, "observation.region.radius", "'20 GeV'", "20 deg"),
    "23 unknown unit": ("0.2 rad", "0.2 rads", 6, "modulate.lengthscale", "'0.2 rads'", "did you mean 'rad'?"),
    "24 truth for nobody": ("{gce: 0.9", "{gcee: 0.9", 3, "simulate.truth.gcee", "'gcee'", "did you mean 'gce'?"),
    "24 truth outside its prior": (
        "gce: 0.9", "gce: 2", 3, "simulate.truth.gce", "2, outside the prior model.components.gce.norm", "widen",
    ),
    "24 guide without a field": (
        ", modulate: {lengthscale: 0.2 rad, variance: 0.5}}", "}\n    # conditional", 10, "fits.mvn", "conditional_iaf",
        "model.components",
    ),
    "24 prior of zero width": ("[12, 0.5]", "[12, 0]", 6, "model.components.diffuse.norm", "width 0", "fixed"),
    "24 two levels for one norm": (
        "variance: 0.5}", "variance: 0.5, mean: {normal: [0, 1]}}", 6, "model.components.diffuse",
        "norm: lognormal and modulate.mean", "choose one",
    ),
    "56 object": ("run: test", f'run: !!python/object/apply:os.system ["touch {MARKER}"]', 1, "run", "tag", "remove"),
    "56 object in a list": (
        "[map,", f'[!!python/object/new:os.system ["touch {MARKER}"],', 9, "fits.mvn[0]", "tag", "remove the tag",
    ),
    "56 module": ("run: test", "run: !!python/module:antigravity", 1, "run", "python/module", "nothing in this file"),
    "62 a prior as text": (
        "norm: {uniform: [0, 1.5]}", f'norm: "{SYSTEM}"', 7, "model.components.gce.norm", "__import__", "fixed: 1.0",
    ),
    "62 limits as text": (
        "[0, 1.5]", f'[0, "{SYSTEM}"]', 7, "model.components.gce.norm.uniform[1]", "__import__", "plain number",
    ),
    "62 a formula": ("[0, 1.5]", "[0, 1+1]", 7, "model.components.gce.norm.uniform[1]", "'1+1'", "plain number"),
    "62 a formula with a unit": ("20 deg", "10+10 deg", 2, "observation.region.radius", "'10+10 deg'", "20 deg"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_place_field_value_and_remedy(validate, name):
    old, new, line, field, found, remedy = FAULTS[name]
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    if "conditional" in new:
        text = text.replace("guide: mvn", "guide: conditional_iaf")
    code, out, err = validate(text)
    assert (code, out) == (2, "")
    parts = [line.split(None, 1) for line in err.splitlines() if line.startswith("  ")]
    message = {word: text for word, text in parts}
    assert f"input error in my.yaml line {line}\n" in err
    assert field in message["field"]
    assert found in message["found"]
    assert remedy in message["do"]
    assert len(err.splitlines()) == 5, "one fault, one message"
    assert not Path(MARKER).exists()


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("lr: 1e-3", "lr: 1e3", 1000.0), ("lr: 1e-3", "lr: '1e-3'", 0.001), ("svi: {", "svi: {published: yes, ", True)],
)
def test_what_only_looks_like_text_gets_its_type(validate, old, new, value):
    from skysift.config import load

    assert validate(GOOD.replace(old, new))[0] == 0
    settings = load(["my.yaml"]).fits["mvn"].sequence[1].settings
    assert value in (settings.lr, settings.published)


NAMES = [
    "../../x",
    "a;rm",
    "a b",
    "naïve",
    "x" * 300,
    "",
    ".",
    "..",
    "-rf",
    "a/b",
    "$(id)",
    "a\nb",
    "a\0b",
    "`id`",
    "*",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
@pytest.mark.parametrize("kind", ["run", "fit", "set", "component", "template", "mask", "region"])
def test_a_name_that_a_shell_or_a_path_could_take_for_something_else_is_refused(validate, kind, name):
    import json

    quoted = json.dumps(name)
    code, out, err = validate(
        {
            "run": GOOD.replace("run: test", f"run: {quoted}"),
            "fit": GOOD.replace("  mvn:", f"  {quoted}:"),
            "set": GOOD.replace(
                "{truth: {gce: 0.9, model_o_gas: 8}}", f"{{sets: {{{quoted}: {{truth: {{gce: 1}}}}}}}}"
            ),
            "component": GOOD.replace("    gce:", f"    {quoted}:"),
            "template": GOOD.replace("nfw_squared", quoted),
            "mask": GOOD.replace("20 deg}", f"20 deg, mask: {quoted}}}"),
            "region": GOOD.replace("20 deg}", f"20 deg}}, read_out: {{{quoted}: {{radius: 1 deg}}}}"),
        }[kind]
    )
    assert (code, out) == (2, "")
    assert "A-Za-z0-9" in err or "a-z0-9_" in err
    assert "\0" not in err


def test_a_missing_file_a_folder_and_a_fifo_are_refused(validate):
    for make, found in [
        (lambda path: None, "no such file"),
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a device or pipe"),
    ]:
        make(Path("my.yaml"))
        code, out, err = validate(None)
        assert (code, out) == (2, "")
        assert "my.yaml" in err
        assert found in err
        if Path("my.yaml").is_dir():
            Path("my.yaml").rmdir()


def test_every_map_that_is_nowhere_is_told_with_its_key(validate):
    masks = "{and: [{file: no.npy}, {plane: 2 deg}, {not: {file: none.npy}}]}"
    text = GOOD.replace("20 deg}", f"20 deg, mask: {masks}}}, templates: {{mine: never.npy}}")
    code, out, err = validate(text)
    assert (code, out) == (2, "")
    for key, file in [
        ("observation.templates.mine", "never.npy"),
        ("observation.region.mask.and[0]", "no.npy"),
        ("observation.region.mask.and[2].not", "none.npy"),
    ]:
        assert f"  field   {key}\n  found   {file}\n" in err
    for name in ("no", "none", "never"):
        Path(f"{name}.npy").touch()
    assert validate(text)[0] == 0


def test_the_reader_itself_refuses_what_is_no_plain_file(tmp_path):
    from skysift.config import load
    from skysift.errors import InputError

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, found in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "a folder"),
        (fifo, "FIFO"),
        (Path(os.devnull), "device"),
    ]:
        with pytest.raises(InputError, match=found):
            load([path])


BILLION = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
BOMBS = {
    "aliases": (BILLION, "alias"),
    "100 MB": (None, "100000000 bytes"),
    "10 000 brackets": ("a: " + "[" * 10_000 + "]" * 10_000, "levels"),
    "10 000 brackets, left open": ("a: " + "[" * 10_000, "levels"),
    "10 000 braces": ("{a: " * 10_000 + "}" * 10_000, "levels"),
    "1000 indentations": ("\n".join(" " * n + "a:" for n in range(1000)), "levels"),
    "nothing but keys": ("\n".join(f"k{n}: 1" for n in range(60_000)), "unknown key"),
    "nothing but one key": ("\n".join("a: 1" for n in range(100_000)), "each key once"),
    "a long number": ("run: " + "9" * 500_000, "(500000 characters)"),
    "a long word": ("run: " + "x" * 900_000, "(900000 characters)"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_a_second_and_200_mb(tmp_path, name):
    text, words = BOMBS[name]
    path = tmp_path / "bomb.yaml"
    if text is None:
        with path.open("wb") as stream:
            stream.truncate(100_000_000)
    else:
        path.write_text(text)
    code = (
        "import sys, time\n"
        "from skysift.cli import main\n"
        "import skysift.config, skysift.steps.validate\n"
        "before = time.process_time()\n"
        "try: main(['validate', sys.argv[1]])\n"
        "finally:\n"
        "    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "    print(time.process_time() - before, int(peak.split()[1]) / 1024)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr[-1000:]
    assert str(path) in done.stderr
    assert words in done.stderr
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 1
    assert megabytes < 200
