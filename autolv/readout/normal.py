"""Where healthy people lie: ranges that hold for the patient's sex and age and for the read-out's own conventions, or none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from autolv.schema.dataset import Sex
from autolv.schema.readout import BasalRule, BsaFormula, Method, NormalRange, PapillaryRule

ANY_AGE = (0.0, 150.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The range of one quantity in one group of healthy people; ``None`` is any sex, or any rule.

    ``ages`` are whole years at the last birthday, both ends included.
    """

    quantity: str
    low: float
    high: float
    source: str
    sex: Sex | None = None
    ages: tuple[float, float] = ANY_AGE
    papillary_rule: PapillaryRule | None = None
    basal_rule: BasalRule | None = None
    bsa_formula: BsaFormula | None = None

    def is_of(self, sex: Sex | None, age_years: float | None) -> bool:
        """Return whether a person belongs to the group; one whose sex or age is asked for and not known does not."""
        if self.sex is not None and sex != self.sex:
            return False
        if self.ages == ANY_AGE:
            return True
        return age_years is not None and self.ages[0] <= int(age_years) <= self.ages[1]

    def is_by(self, method: Method) -> bool:
        """Return whether the group was measured as ``method`` measures."""
        asked = ((self.papillary_rule, method.papillary_rule), (self.basal_rule, method.basal_rule),
                 (self.bsa_formula, method.bsa_formula))  # fmt: skip
        return all(own is None or own == other for own, other in asked)


def _uk_biobank(sex: Sex, mean: float, sd: float) -> Population:
    return Population(
        quantity="lv_ef_percent", low=mean - 1.96 * sd, high=mean + 1.96 * sd, sex=sex, ages=(45.0, 74.0),
        papillary_rule="in_cavity", basal_rule="as_segmented",
        source=f"95 % of healthy {'women' if sex == 'F' else 'men'} of 45 to 74 years, European, 1.5 T, cine SSFP, papillary "
        f"muscles in the cavity: {mean:g} ± 1.96 · {sd:g} % (UK Biobank, Petersen 2017, doi:10.1186/s12968-017-0327-9)",
    )  # fmt: skip


# Only what was confirmed in the source itself: its abstract has these means and standard deviations. Its mass index
# (42 ± 7 and 53 ± 9 g/m2) is left out, as the formula of the body surface is not told there.
BUILT_IN: tuple[Population, ...] = (_uk_biobank("F", 61.0, 5.0), _uk_biobank("M", 58.0, 5.0))


def normal_ranges(
    names: Collection[str],
    sex: Sex | None,
    age_years: float | None,
    method: Method,
    own: Sequence[Population] = (),
) -> tuple[dict[str, NormalRange], str]:
    """Return the ranges of the quantities ``names`` that hold, and the reason where there are none.

    ``own`` are a laboratory's: for a quantity that they name at all, the built-in ones do not count. Of several that hold the
    first is taken.
    """
    named = {one.quantity for one in own}
    asked = [one for one in (*own, *(one for one in BUILT_IN if one.quantity not in named)) if one.quantity in names]
    found: dict[str, NormalRange] = {}
    for one in asked:
        if one.is_of(sex, age_years) and one.is_by(method):
            found.setdefault(one.quantity, NormalRange(low=one.low, high=one.high, source=one.source))
    return found, "" if found else _reason(asked, sex, age_years, method)


def _reason(asked: Iterable[Population], sex: Sex | None, age_years: float | None, method: Method) -> str:
    """Return why none of the groups holds."""
    groups = list(asked)
    if not groups:
        return "none are known for these quantities"
    measured = [one for one in groups if one.is_by(method)]
    if not measured:
        return "those known were measured by other rules for papillary muscles, base or body surface"
    lacking = [
        words
        for words, missing in (
            ("sex", sex is None and all(one.sex is not None for one in measured)),
            ("age", age_years is None and all(one.ages != ANY_AGE for one in measured)),
        )
        if missing
    ]
    if lacking:
        return f"they hold for one sex and an age, and the patient's {' and '.join(lacking)} " + (
            "are not known" if len(lacking) > 1 else "is not known"
        )
    return "none of those known is of the patient's sex and age"
