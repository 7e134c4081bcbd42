import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from scipy import stats

from resilience.analysis import analyse
from resilience.analysis.figures import Plate
from resilience.analysis.figures.draw import NAMES, draw_figures
from resilience.analysis.report import compose, find, to_markdown, what_was_analysed, write_report
from resilience.analysis.report.document import Bullets, Document, Finding, Grid, Section
from resilience.analysis.report.html import LONGEST_TABLE, to_html
from resilience.analysis.tables import (
    Analysis,
    Observations,
    cell_text,
    counted,
    level_text,
    listing,
    number_text,
    p_text,
    short_exponents,
)

NO_PROBLEMS = pd.DataFrame(columns=["path", "kind", "reason"], dtype=object)


def analysed(rows: pd.DataFrame, factors: tuple[str, ...], response: str) -> Analysis:
    return analyse(Observations(rows, factors, (response,), NO_PROBLEMS, {"file": "own.csv"}))


def two_groups(spreads: dict[str, float]) -> Analysis:
    """One group whose ten observations at the second level are so many times as spread out."""
    steps = np.array([-9.0, -7, -4, -2, -1, 1, 2, 4, 7, 9])
    parts = [
        pd.DataFrame({"group": name, "dose": dose, "y": steps * (spread if dose == 2 else 1)})
        for name, spread in spreads.items() for dose in (1, 2)
    ]  # fmt: skip
    return analysed(pd.concat(parts, ignore_index=True), ("group", "dose"), "y")


@pytest.fixture(scope="module")
def report(_analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    return write_report(_analysis, draw_figures(_analysis, directory / "figures"), directory)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.41234, "p = 0.41"), (0.0312, "p = 0.031"), (0.0009, "p < 0.001"), (0.999, "p > 0.99"),
        (float("nan"), "p undefined"),
    ],
)  # fmt: skip
def test_p_values_are_printed_as_in_papers(p: float, text: str) -> None:
    assert p_text(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (1076.4, "1076"), (0.0, "0"), (-2.0, "-2.00"), (3.21e-7, "3.21e-7")],
)
def test_numbers_have_sensible_digits(value: float, text: str) -> None:
    assert number_text(value) == text


def test_levels_and_lists_read_well() -> None:
    levels = [level_text(level) for level in (1e-5, 0.00003, 0.1, 5.0, 2, "high", 1.2345678e-10)]
    assert levels == ["1e-5", "3e-5", "0.1", "5", "2", "high", "1.2345678e-10"]
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert (counted(1, "trial"), counted(2, "trial")) == ("1 trial", "2 trials")
    cells = [("df1", 57.0), ("df2", 34.8213), ("p", 1e-9), ("mean", float("nan")), ("n", 12)]
    assert [cell_text(*cell) for cell in cells] == ["57", "34.82", "< 0.001", "", "12"]
    grid = Grid("g", "", pd.DataFrame(columns=["dose", "mean"]), exact=("dose",))
    assert grid.texts((0.123456, 0.123456)) == ["0.123456", "0.1235"]


def test_rates_are_spelt_alike_wherever_people_read_them(analysis: Analysis) -> None:
    assert short_exponents("frate=1e-05, 2.5e+20 at 1e-10") == "frate=1e-5, 2.5e20 at 1e-10"
    assert short_exponents("0e-05b stone-05 1.5 e-05") == "0e-05b stone-05 1.5 e-05"
    assert level_text(1e20) == "1e20"
    text = to_html(compose(analysis, ()))
    for spelt in ("<td>frate=1e-5</td>", "model=vgg19, frate=1e-5, perturb=zero"):
        assert spelt in text
    assert not re.search(r">[^<]*\de-0", text)  # in texts; attributes hold whole numbers
    path = cell_text("path", "night/vgg19/zero/1e-05/replica-3-0ab12c3d")
    assert path == "night/vgg19/zero/1e-05/replica-3-0ab12c3d"


def test_sentences_on_spread_lead_with_brown_forsythe() -> None:
    steps = np.array([-9.0, -7, -4, -2, -1, 1, 2, 4, 7, 9])
    brown_forsythe = stats.levene(steps, 5 * steps, center="median").pvalue
    bartlett = stats.bartlett(steps, 5 * steps).pvalue
    same, wider = find(two_groups({"calm": 1.0, "wild": 5.0})).spread
    assert same.claim == (
        "calm: equal variances over the levels of dose are not rejected, Brown-Forsythe p > 0.99."
    )
    assert wider.claim == (
        "wild: equal variances over the levels of dose are rejected, "
        f"Brown-Forsythe {p_text(brown_forsythe)}."
    )
    assert f"Bartlett's test: {p_text(bartlett)}; the normality that it assumes" in wider.detail
    assert "Shapiro-Wilk" in wider.detail


def test_sentences_name_every_stratum_and_put_the_pooled_reading_last(analysis: Analysis) -> None:
    *models, pooled = find(analysis).spread
    tests = analysis.variances
    tests = tests[(tests["response"] == "top1_error") & (tests["test"] == "brown_forsythe")]
    for finding in models:
        model = finding.claim.partition(":")[0]
        own = tests[(tests["model"] == model)].set_index(["grouping", "perturb"])["p"]
        for perturb in ("random", "zero"):
            assert f"for {perturb} (" in finding.claim
            assert p_text(own["per_perturb", perturb]) in finding.claim
        assert f"pooled after centring ({p_text(own['centred', ''])})" in finding.claim
    assert len(models) == 3
    assert "pooled without centring" in pooled.claim
    assert "one interpretation of the publication" in pooled.detail


def test_a_degenerate_group_is_called_so() -> None:
    constant = find(two_groups({"flat": 0.0})).spread[0].claim
    assert constant.startswith(
        "flat: equal variances over the levels of dose are not testable (constant"
    )


def test_an_impossible_analysis_of_variance_is_called_so() -> None:
    rows = pd.DataFrame({"group": ["a", "b"] * 2, "dose": [1, 1, 2, 2], "y": [1.0, 2, 3, 5]})
    said = " ".join(finding.claim for finding in find(analysed(rows, ("group", "dose"), "y")).means)
    assert "no analysis of variance is possible: one observation per cell" in said


def test_disagreement_between_tests_is_told(analysis: Analysis) -> None:
    anova = analysis.anova.copy()
    anova.loc[anova["p"].notna(), ["p", "p_permutation"]] = 0.001
    agreeing = [f.claim for f in find(replace(analysis, anova=anova)).agreement]
    assert agreeing == [
        f"{name}: F, permutation and F on the logit agree on every effect."
        for name in ("Top-1 error", "Increase in top-1 error over golden")
    ]
    anova.loc[
        (anova["response"] == "top1_error") & (anova["effect"] == "model:frate"), "p_permutation"
    ] = 0.2
    first, second = (f.claim for f in find(replace(analysis, anova=anova)).agreement)
    assert first == (
        "Top-1 error: the tests disagree about model:frate "
        "(F p = 0.001, permutation p = 0.20, F on the logit p = 0.001)."
    )
    assert second == agreeing[1]


def test_means_are_the_campaign_s(analysis: Analysis) -> None:
    trials = analysis.trials
    mean = trials[(trials["model"] == "vgg19") & (trials["frate"] == 5e-5)]["top1_error"].mean()
    said = " ".join(finding.claim for finding in find(analysis).means)
    assert "vgg19: mean top-1 error is 0.190 (golden), " in said
    assert f"{number_text(mean)} at 5e-5" in said
    assert what_was_analysed(analysis) == (
        "180 trials and 3 golden runs: 3 models, 3 failure rates and 2 perturbations"
    )


def test_the_report_says_how_far_it_reaches_and_what_is_missing(analysis: Analysis) -> None:
    problems = pd.DataFrame(
        [("vgg19/zero/1e-05", "missing", "1 of 10 replicas: 3"), ("x", "failed", "out of memory")],
        columns=["path", "kind", "reason"],
    )
    document = compose(replace(analysis, problems=problems), ())
    text = to_html(document)
    assert "refer to random faults in these weights, evaluated on these images" in text
    assert "1 missing and 1 failed" in text
    assert "out of memory" in text
    assert "What the publication leaves open" in text
    assert [section.anchor for section in document.sections] == [
        "findings", "figures", "tables", "provenance", "open", "missing",
    ]  # fmt: skip


def test_a_table_of_one_s_own_has_no_section_on_the_publication() -> None:
    anchors = [section.anchor for section in compose(two_groups({"a": 2.0}), ()).sections]
    assert "open" not in anchors


def test_names_are_texts_and_never_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|{{ 7 * 7 }}\" onload='x'"
    image = tmp_path / "image.svg"
    image.write_text("<svg/>")
    plate = Plate("p", evil, evil, image, image.with_suffix(".png"))
    rows = pd.DataFrame({"a|b": [evil, "x"], "p": [0.5, np.nan]})
    document = Document(
        evil,
        evil,
        (
            Section(
                "s", evil, (Grid("g", evil, rows), evil, Bullets(evil, (Finding(evil),)), plate)
            ),
        ),
    )
    page = to_html(document)
    assert "<script>alert" not in page
    assert "49" not in page
    assert '" onload' not in page
    assert page.count(str(escape(evil))) == 15
    text = to_markdown(document, tmp_path)
    assert "<script>" not in text.replace("\\<", "")
    rows_of_table = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows_of_table} == {3}


def test_a_long_table_is_left_to_its_file() -> None:
    rows = pd.DataFrame({"n": range(LONGEST_TABLE + 1)})
    page = to_html(Document("t", "s", (Section("s", "S", (Grid("trials", "All.", rows),)),)))
    assert "<table" not in page
    assert f"{LONGEST_TABLE + 1} rows: see trials.csv" in page


def test_the_page_needs_nothing_from_elsewhere(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "url(" not in page
    assert page.count('src="data:image/svg+xml;base64,') == 9
    assert re.findall(r'<figure id="(\w+)"', page) == list(NAMES)
    for name in ("variances", "anova", "posthoc", "descriptives", "sd_intervals", "trials"):
        assert f'<table id="{name}"' in page


def test_the_markdown_links_files_that_exist(report: Path) -> None:
    text = report.with_name("report.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert len(links) == 9
    assert all((report.parent / link).is_file() for link in links)


def test_the_same_analysis_gives_the_same_report(
    analysis: Analysis, report: Path, tmp_path: Path
) -> None:
    figures = report.with_name("figures")
    names = re.findall(r'<figure id="(\w+)"', report.read_text(encoding="utf-8"))
    plates = [Plate(n, "", "", figures / f"{n}.svg", figures / f"{n}.png") for n in names]
    pages = [to_html(compose(analysis, plates)) for _ in range(2)]
    assert pages[0] == pages[1]
    assert "vgg19" in pages[0]


SELF_CHECK = """
<script>
window.addEventListener("load", () => {  // images of the page are decoded by then
const check = {errors: window.errors};
check.images = [...document.images].map((image) => image.complete && image.naturalWidth > 100);
const table = document.getElementById("variances");
const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
const column = (name) => [...table.tBodies[0].rows].map((row) => row.cells[names.indexOf(name)]);
const heading = (name) => table.tHead.rows[0].cells[names.indexOf(name)];
const press = (name) => heading(name).querySelector("button").click();
press("p");
check.up = column("p").map((cell) => cell.dataset.value ?? null);
check.sortUp = heading("p").getAttribute("aria-sort");
press("p");
check.down = column("p").map((cell) => cell.dataset.value ?? null);
check.sortDown = heading("p").getAttribute("aria-sort");
press("test");
check.tests = column("test").map((cell) => cell.textContent);
check.reset = heading("p").getAttribute("aria-sort");
const output = document.createElement("pre");
output.id = "self-check";
output.textContent = JSON.stringify(check);
document.body.append(output);
});
</script>
"""


def test_chromium_shows_the_images_and_sorts_the_tables(
    analysis: Analysis, report: Path, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    listen = "<script>window.errors=[];addEventListener('error',e=>errors.push(e.message))</script>"
    page = report.read_text(encoding="utf-8")
    page = page.replace("<head>", f"<head>{listen}", 1).replace("</body>", f"{SELF_CHECK}</body>")
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    found = re.search(r'<pre id="self-check">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    check = json.loads(html.unescape(found.group(1)))
    assert check["errors"] == []
    assert check["images"] == [True] * 9
    known = analysis.variances["p"].dropna()
    absent = [None] * int(analysis.variances["p"].isna().sum())
    assert [p and float(p) for p in check["up"]] == [*sorted(known), *absent]
    assert [p and float(p) for p in check["down"]] == [*sorted(known, reverse=True), *absent]
    assert check["tests"] == sorted(analysis.variances["test"])
    assert (check["sortUp"], check["sortDown"], check["reset"]) == (
        "ascending", "descending", "none",
    )  # fmt: skip
