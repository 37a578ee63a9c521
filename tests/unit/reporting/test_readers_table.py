"""The table of two readers' agreement: widths, signs, what is published."""

from __future__ import annotations

import csv
import io

from autolv.evaluation.readers import quantity_agreement
from autolv.reporting.readers import readers_csv, readers_table
from autolv.schema.readers import ReadoutAgreement

REFERENCE = [100.0, 120.0, 150.0, 180.0]
PREDICTED = [104.0, 122.0, 158.0, 182.0]  # differences 4, 2, 8, 2: mean 4, variance 24 / 3 = 8


def report() -> ReadoutAgreement:
    quantities = tuple(quantity_agreement(name, PREDICTED, REFERENCE) for name in ("EDV [ml]", "made up [ml]"))
    return ReadoutAgreement(patients=4, quantities=quantities)


def test_values_stand_above_their_intervals_and_publications_below() -> None:
    text = readers_table(report())
    lines = text.splitlines()
    assert max(map(len, lines)) < 110
    (row,) = [line for line in lines if line.startswith("EDV [ml]") and "+4.00" in line]
    assert row.split()[2:] == ["4", "0.997", "0.991", "+4.00", "2.83", "-1.5", "+9.5", "4.00"]  # 4 -+ 1.96 * 2.828
    # of resampled differences 2, 2, 4, 8 no mean is below 2 or above 8
    assert lines[lines.index(row) + 1].split()[2:5] == ["+2.00", "to", "+8.00"]
    assert "differences  15.2 to 28.4  Suinesiaputra 2015" in text
    assert text.count("made up [ml]") == 1  # of it nothing is published
    assert text.count("EDV [ml]") == 2


def test_the_sheet_holds_each_bound_and_the_sources() -> None:
    first, second = csv.DictReader(io.StringIO(readers_csv(report())))
    assert (first["patients"], first["bias"], first["mae"]) == ("4", "4", "4")
    assert float(first["bias_lower_95"]) < 4.0 < float(first["bias_upper_95"])
    assert "Suinesiaputra 2015" in first["published between readers"]
    assert second["published between readers"] == ""


def test_without_a_quantity_the_table_says_why() -> None:
    assert "No patient has a phase" in readers_table(ReadoutAgreement(patients=3, quantities=()))
