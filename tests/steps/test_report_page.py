"""The page: verdict first, everything inside, honest about what is missing or is no posterior."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from skysift.plots import style
from skysift.steps import report
from skysift.steps.gather import NOT_A_POSTERIOR


class Page(HTMLParser):
    """Collects addresses, images and open tags of a page."""

    VOID = frozenset({"meta", "img", "br", "link", "hr", "input"})

    def __init__(self, text):
        super().__init__()
        self.addresses, self.images, self.open, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [found[key] for key in ("src", "href") if key in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "img":
            self.images.append(found)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def copied(fabricated, tmp_path_factory):
    """Make a copy of the run to which each test may do harm, drawn coarsely because nobody looks."""
    folder = tmp_path_factory.mktemp("page") / "results" / "fabricated"
    shutil.copytree(fabricated.folder, folder)
    patch = pytest.MonkeyPatch()
    patch.setattr(style, "PNG_DPI", 40)
    yield folder
    patch.undo()


def write_page(folder):
    report.run(config=folder / "config.yaml", run_dir=folder, out=folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(copied):
    return write_page(copied)


def test_page_is_well_formed_and_loads_nothing(page):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    outside = [a for a in parsed.addresses if not a.startswith(("#", "data:image/png;base64,", "figures/", "tables/"))]
    assert outside == []
    assert "<script" not in page
    assert "@import" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_figures_drawn_side_by_side_are_the_same(page, copied, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert write_page(copied) == page


def test_every_anchor_leads_somewhere(page):
    parsed = Page(page)
    assert {a[1:] for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids)


def test_every_figure_is_inside_with_words(page, copied):
    images = Page(page).images
    assert len(images) >= 10
    assert all(image["src"].startswith("data:image/png;base64,") and len(image["alt"]) > 15 for image in images)
    files = sorted(path.name for path in (copied / "figures").iterdir())
    stems = {name.rsplit(".", 1)[0] for name in files}
    assert len(files) == 3 * len(stems) == 3 * len(images)
    assert "could not be drawn" not in page


def test_verdict_comes_before_any_number(page):
    assert page.index('id="verdict"') < page.index('id="answer"') < page.index("<table") < page.index('id="figures"')
    verdict = page[page.index('id="verdict"') : page.index('id="answer"')]
    assert "1 not converged; 3 tempered, so not posteriors" in verdict
    assert "R-hat: 1.20, wanted 1.01; draw longer" in verdict
    assert "k-hat: 0.600, wanted 0.5; resample the draws by importance" in verdict


def test_statistical_and_systematic_errors_stand_apart(page):
    start = page.index("<table", page.index('id="answer"'))
    row = re.search(r"<th scope=\"row\">gp<br>.*?</tr>", page[start:], re.DOTALL)[0]
    cells = [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    assert cells[0] == "0.900", "the truth comes first: at the end of a wide table nobody sees it"
    assert float(cells[2]) == pytest.approx(0.12, abs=0.02)
    assert cells[3] == "0.50"
    rigid = re.search(r"<th scope=\"row\">rigid<br>.*?</tr>", page[start:], re.DOTALL)[0]
    assert "not measured" in rigid


def test_what_is_no_posterior_says_so_wherever_it_is_shown(page):
    answers = page[page.index('id="answer"') : page.index('id="figures"')]
    assert answers.count(NOT_A_POSTERIOR) >= 4
    details = page[page.index('id="figures"') :]
    assert NOT_A_POSTERIOR in details


def test_bare_prior_is_in_the_calibration_table(page):
    calibration = page[page.index('id="calibration"') : page.index('id="figures"')]
    assert "bare prior" in calibration
    assert "gp_sidebands" in calibration


def test_configuration_cost_and_commands_are_there(page):
    assert "run: fabricated" in page
    assert "snakemake --cores 2 --configfile fabricated.yaml" in page
    assert "gradients" in page[page.index('id="cost"') :]
    assert "isotropic_norm: the prior decides" in page


def test_missing_and_damaged_fits_are_red_boxes_and_the_page_is_the_same_twice(copied, capsys):
    (copied / "fits" / "mvn" / "simulated-000.nc").unlink()
    (copied / "fits" / "rigid" / "simulated-000.nc").write_bytes(b"half a file")
    shutil.rmtree(copied / "predictive")
    text = write_page(copied)
    assert text == write_page(copied)
    assert Page(text).open == []
    assert text.count('class="box red"') == 2
    assert "2 missing" in text
    assert "mvn/simulated-000: no posterior" in capsys.readouterr().err


def test_page_exists_when_nothing_else_does(copied):
    for name in ("fits", "predictive", "data"):
        shutil.rmtree(copied / name, ignore_errors=True)
    (copied / "observation.h5").unlink()
    text = write_page(copied)
    assert Page(text).open == []
    assert "0 of 15 results converged: 15 missing" in text
    assert "observation.h5 cannot be read" in text


@pytest.mark.parametrize("processes", ["1", "2"])
def test_one_broken_figure_does_not_stop_the_others(fabricated, tmp_path, monkeypatch, processes):
    monkeypatch.setenv("OMP_NUM_THREADS", processes)
    from skysift.steps import report_figures

    folder = tmp_path / "results" / "fabricated"
    shutil.copytree(fabricated.folder, folder, ignore=shutil.ignore_patterns("predictive"))
    monkeypatch.setattr(style, "PNG_DPI", 40)

    def fail(*_):
        raise ValueError("<b>no & luck</b>")

    monkeypatch.setattr(report_figures, "plot_corner", fail)
    text = write_page(folder)
    assert "could not be drawn: ValueError: &lt;b&gt;no &amp; luck&lt;/b&gt;" in text
    assert "<b>no & luck" not in text
    assert 'id="posteriors-simulated-000"' in text
