"""Which layer, which bit: the tables against counts by hand, the sentences, the report."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resilience.analysis import analyse, analyse_campaign, write_tables
from resilience.analysis.figures import draw_figures
from resilience.analysis.read import read_campaigns
from resilience.analysis.read.draws import draws_table, layer_order, natural
from resilience.analysis.report import compose, find, write_report
from resilience.analysis.risk import vulnerability, wilson_interval
from resilience.analysis.tables import OPTIONAL, Analysis
from resilience.analyze import main
from resilience.number_formats import FORMATS
from resilience.results.record import Result
from tests.analysis import synthetic

LAYERS = ("features.0", "features.2", "features.10", "classifier.0")


def table_of(
    draws: Iterable[tuple[str | None, int | None, int]],
    by: Sequence[str] = ("layer",),
    critical: int = 1,
    number_format: str = "float32",
) -> pd.DataFrame:
    """The table of draws that are a layer, a bit, and a number of changed images out of 100."""
    rows = [
        {
            "model": "m", "perturb": "p", "format": number_format, "seed": 0, "replica": 0,
            "draw": number, "layer": layer, "bit": bit, "faults": 1, "images": 100,
            "sdc_rate": changed / 100, "due_rate": 0.0, "changed_correct": changed,
        }
        for number, (layer, bit, changed) in enumerate(draws)
    ]  # fmt: skip
    return vulnerability(draws_table(rows, {}), by, critical, 0.05, 0)


def analysed(tmp_path: Path, results: Iterable[Result], critical: int = 1) -> Analysis:
    campaign = read_campaigns([synthetic.save(tmp_path / "c", results)])
    return analyse(campaign, critical=critical)


def by_layers_and_bits(**trial: str) -> Iterable[Result]:
    return synthetic.layers_and_bits(LAYERS, (29, 30, 31), 3, **trial)


def test_every_layer_is_counted_and_ranked() -> None:
    found = table_of(
        [("b", 1, 5), ("b", 1, 0), ("a", 1, 0), ("a", 2, 0), ("c", 1, 1), ("c", 3, 3)]
    ).set_index("layer")
    assert found["draws"].to_dict() == {"a": 2, "b": 2, "c": 2}
    assert found["critical"].to_dict() == {"a": 0, "b": 1, "c": 2}
    assert found["critical_share"].to_dict() == {"a": 0.0, "b": 0.5, "c": 1.0}
    assert found["sdc_rate"].to_dict() == {"a": 0.0, "b": 0.025, "c": 0.02}
    assert found["rank"].to_dict() == {"c": 1, "b": 2, "a": 3}
    low, high = wilson_interval(1, 2, 0.05)
    assert (found.loc["b", "critical_low"], found.loc["b", "critical_high"]) == (low, high)
    assert found.loc["a", "note"] == "no interval of sdc_rate and due_rate: all draws equal"


def test_a_draw_is_critical_from_as_many_images_as_were_asked_for() -> None:
    draws = [("a", 1, 3), ("a", 1, 4), ("b", 1, 2), ("b", 1, 5)]
    counts = [table_of(draws, critical=t)["critical"].tolist() for t in (1, 3, 4, 6)]
    assert counts == [[2, 2], [2, 1], [1, 1], [0, 0]]
    with pytest.raises(ValueError, match="critical must be at least 1 image, got 0"):
        table_of(draws, critical=0)


def test_equal_shares_are_ranked_by_sdc_and_equal_both_share_a_rank() -> None:
    draws = [("a", 1, 7), ("b", 1, 9), ("c", 1, 7), ("d", 1, 0)]
    assert table_of(draws)["rank"].tolist() == [2, 1, 2, 4]
    thirds = [
        (layer, 1, changed)
        for layer in "ab"
        for changed in ((1, 2, 4) if layer == "a" else (4, 2, 1))
    ]
    assert table_of(thirds)["rank"].tolist() == [1, 1]


def test_bits_have_the_fields_of_their_format() -> None:
    found = table_of([("a", bit, 1) for bit in (31, 30, 23, 22, 0)], ("bit",))
    assert found["bit"].tolist() == [0, 22, 23, 30, 31]
    assert found["field"].tolist() == ["mantissa", "mantissa", "exponent", "exponent", "sign"]
    found = table_of([("a", bit, 1) for bit in (6, 7)], ("bit",), number_format="int8")
    assert found["field"].tolist() == ["", "sign"]
    found = table_of([("a", bit, 1) for bit in (6, 7)], ("bit",), number_format="posit8")
    assert found["field"].tolist() == ["", ""]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_fields_are_those_of_numpy_and_the_names_of_the_bits_are_complete(name: str) -> None:
    known = {"float32": (8, 23), "float16": (5, 10), "bfloat16": (8, 7)}[name]
    fields, field_of = FORMATS[name].fields, FORMATS[name].field_of
    assert (len(fields["exponent"]), len(fields["mantissa"])) == known
    if name != "bfloat16":  # which numpy lacks
        info = np.finfo(name)
        assert (info.iexp, info.nmant) == known
    width = 1 + sum(known)
    assert [field_of(bit) for bit in range(width)].count("sign") == 1
    assert field_of(width - 1) == "sign"
    assert field_of(width) == ""


def test_both_together_are_every_cell_that_was_drawn() -> None:
    found = table_of([("a", 1, 0), ("a", 2, 1), ("b", 2, 1), ("b", 2, 0)], ("layer", "bit"))
    cells = found[["layer", "bit", "draws", "critical"]].to_numpy().tolist()
    assert cells == [["a", 1, 1, 0], ["a", 2, 1, 1], ["b", 2, 2, 1]]


@pytest.mark.parametrize("by", [("layer",), ("bit",), ("layer", "bit")])
def test_without_two_to_compare_there_is_no_table(by: tuple[str, ...]) -> None:
    assert table_of([("a", 3, 1), ("a", 3, 0), (None, None, 4)], by).empty
    assert vulnerability(pd.DataFrame(), by, 1, 0.05, 0).empty


def test_draws_of_several_layers_are_in_no_layer() -> None:
    found = table_of([("a", 1, 1), ("b", 1, 1), (None, 1, 90)])
    assert found["draws"].tolist() == [1, 1]


def test_what_is_not_known_is_not_counted() -> None:
    found = table_of([("a", 1, 1), ("b", 1, 1)])
    assert found["note"].str.contains("one draw").all()
    rows = [
        {"model": "m", "perturb": "p", "format": "float32", "layer": layer, "faults": 1,
         "sdc_rate": rate, "due_rate": 0.0, "changed_correct": changed}
        for layer, rate, changed in (("a", 0.5, None), ("a", 0.1, 3), ("b", 0.9, None))
    ]  # fmt: skip
    found = vulnerability(draws_table(rows, {}), ("layer",), 1, 0.05, 0)
    assert found["critical"].isna().all()
    assert found[["critical_share", "critical_low"]].isna().all(axis=None)
    assert found["note"].str.startswith("changed_correct is not known for every draw").all()
    assert found["rank"].tolist() == [2, 1]


def test_layers_are_in_the_order_of_the_network() -> None:
    names = ["features.10", "features.2", "classifier.0"]
    assert sorted(names, key=natural) == ["classifier.0", "features.2", "features.10"]
    assert layer_order([["features.2", "classifier.0"], ["features.2", "features.10"]]) == [
        "features.2", "classifier.0", "features.10",
    ]  # fmt: skip
    network = ["conv1", "layer1.0.conv1", "layer2.0.conv1", "fc"]
    parts = [network[:2], network[1:3], network[2:], ["fc"]]
    assert layer_order(parts) == network
    assert layer_order([["b", "a"], ["a", "b"], ["c"]]) == ["a", "b", "c"]
    assert layer_order([]) == []


def test_a_campaign_has_the_three_tables(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, by_layers_and_bits())
    layers, bits, both = (analysis.tables[name] for name in OPTIONAL)
    assert layers["layer"].tolist() == list(LAYERS)
    assert (layers["draws"] == 18).all()
    assert bits["bit"].tolist() == [29, 30, 31]
    assert (bits["draws"] == 24).all()
    assert len(both) == 12
    for table in (bits, both):
        assert table["critical"].sum() == layers["critical"].sum()
    assert analysis.factors == ("model", "faults", "perturb")
    assert analysis.problems.empty


def test_results_without_draws_are_one_draw_each(tmp_path: Path) -> None:
    results = []
    for replica in range(4):
        plain = synthetic.make_result("vgg19", 1e-5, "zero", replica, 200 + replica)
        faults = {**plain.faults, "by_layer": {LAYERS[replica % 2]: 100}}
        results.append(type(plain)(*(
            plain.trial, plain.parameters, plain.fingerprint, faults,
            plain.golden, plain.corrupted, plain.provenance,
        )))  # fmt: skip
    layers = analysed(tmp_path, results).tables["vulnerability_layers"]
    assert layers[["layer", "draws", "faults"]].to_numpy().tolist() == [
        ["features.0", 2, 100],
        ["features.2", 2, 100],
    ]
    assert layers["sdc_rate"].tolist() == [0.011, 0.012]
    assert layers["critical"].isna().all()
    said = find(analysed(tmp_path, results)).vulnerability[0].claim
    assert "by mean SDC rate is features.2: 0.0120" in said


def test_networks_and_formats_are_apart(tmp_path: Path) -> None:
    results = [*by_layers_and_bits(), *by_layers_and_bits(number_format="float16")]
    results += by_layers_and_bits(model="resnet50")
    analysis = analysed(tmp_path, results)
    layers = analysis.tables["vulnerability_layers"]
    groups = layers.groupby(["model", "perturb", "format"])["rank"].min()
    assert groups.tolist() == [1, 1, 1]
    reasons = analysis.problems["reason"].tolist()
    assert reasons == ["trials that differ in format are pooled: float16, float32"]


def test_sentences_name_the_first_with_its_interval(tmp_path: Path) -> None:
    draws = [("hit", 30, changed) for changed in (8, 9, 0, 10)] + [("calm", 2, 0)] * 300
    made = [
        synthetic.make_draw(i, layer, bit, 2 * changed / synthetic.IMAGES)
        for i, (layer, bit, changed) in enumerate(draws)
    ]
    analysis = analysed(tmp_path, [synthetic.of_draws(made)], critical=9)
    layer, bit, field, terms = find(analysis).vulnerability
    low, high = wilson_interval(2, 4, 0.05)
    assert layer.claim == (
        "vgg19: the most vulnerable layer of 2 is hit: 2 of 4 draws of faults critical, 0.500 "
        f"(95 % interval {low:.3f} to {high:.3f})."
    )
    assert "Next: calm (0)." in layer.detail
    assert "bit of 2 is 30 (exponent)" in bit.claim
    assert "exponent 2 of 4" in field.claim
    assert "mantissa 0 of 300" in field.claim
    assert "at least 9 correctly classified images silently change their class" in terms.claim
    assert "A draw is one fault. Of 304 draws, 304 have a known layer" in terms.detail


def test_what_cannot_be_told_from_the_first_is_said(tmp_path: Path) -> None:
    draws = [
        synthetic.make_draw(i, layer, 30, harm)
        for i, (layer, harm) in enumerate([("a", 0.5), ("b", 0.4), ("b", 0.0), ("a", 0.5)])
    ]
    said = find(analysed(tmp_path, [synthetic.of_draws(draws)])).vulnerability[0].claim
    assert "the intervals of 1 of the 1 other layers overlap it" in said
    quiet = [synthetic.make_draw(i, layer, 30, 0.0) for i, layer in enumerate("aabb")]
    said = find(analysed(tmp_path / "q", [synthetic.of_draws(quiet)])).vulnerability[0].claim
    assert said == "vgg19: no draw of faults was critical in any of 2 layers."


def test_one_cell_leads_with_layers_and_has_no_analysis_of_variance(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, by_layers_and_bits())
    plates = draw_figures(analysis, tmp_path / "figures")
    names = [plate.name for plate in plates]
    assert names[:3] == list(OPTIONAL)
    assert not {"cell_means", "residuals", "figure3_standard_deviations"} & set(names)
    document = compose(analysis, plates)
    assert document.sections[0].anchor == "vulnerability"
    page = write_report(analysis, plates, tmp_path).read_text(encoding="utf-8")
    assert page.index('<figure id="vulnerability_layers"') < page.index('<table id="vulnerability')
    assert page.index('<table id="vulnerability_layers"') < page.index('id="findings"')
    assert '<table id="anova' not in page
    assert "have nothing to compare, and are left out" in page
    assert "publication" not in page
    assert not find(analysis).spread
    assert "with 18 draws of faults" not in document.subtitle
    assert "2 trials with 72 draws of faults and 1 golden run" in document.subtitle


def test_a_single_trial_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (only, _) = by_layers_and_bits()
    campaign = synthetic.save(tmp_path / "c", [only])
    assert main([str(campaign), "--critical", "2"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("- vgg19: the most vulnerable layer")
    assert "at least 2 correctly classified images" in output
    for refused in ("0", "x"):
        with pytest.raises(SystemExit, match="2"):
            main([str(campaign), "--critical", refused])


def test_several_cells_are_tested_after_the_layers(tmp_path: Path) -> None:
    results = [*by_layers_and_bits(), *by_layers_and_bits(model="resnet50")]
    analysis = analysed(tmp_path, results)
    names = [plate.name for plate in draw_figures(analysis, tmp_path / "figures")]
    assert names[:6] == [
        "vulnerability_layers", "vulnerability_layers_2", "vulnerability_bits",
        "vulnerability_bits_2", "vulnerability_layers_bits", "vulnerability_layers_bits_2",
    ]  # fmt: skip
    assert {"cell_means", "residuals"} <= set(names)
    said = [finding.claim for finding in find(analysis).means]
    assert "All trials were run with 1 fault, so there are no variances to compare." in said


def test_tables_and_figures_of_an_earlier_analysis_go(tmp_path: Path) -> None:
    campaign = synthetic.save(tmp_path / "c", by_layers_and_bits())
    directory = analyse_campaign([campaign]).report.parent
    assert (directory / "vulnerability_bits.csv").is_file()
    (directory / "figures" / "vulnerability_of_mine.png").write_text("kept")
    plain = [synthetic.make_result("vgg19", 1e-5, "zero", r, 200 + r) for r in range(3)]
    analysis = analysed(tmp_path / "plain", plain)
    write_tables(analysis, directory)
    draw_figures(analysis, directory / "figures")
    left = {path.name for path in directory.rglob("vulnerability*")}
    assert left == {"vulnerability_of_mine.png"}
    document = compose(analysis, ())
    assert document.sections[0].anchor == "findings"


def test_the_same_draws_in_another_order_give_the_same_tables(tmp_path: Path) -> None:
    first, second = by_layers_and_bits()
    one, other = (
        analysed(tmp_path / name, results).tables
        for name, results in (("a", [first, second]), ("b", [second, first]))
    )
    for name in OPTIONAL:
        pd.testing.assert_frame_equal(one[name], other[name])
