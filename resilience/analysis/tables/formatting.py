"""Numbers, levels and lists as text."""

import math
import re
from collections.abc import Sequence

import pandas as pd

P_COLUMNS = ("p", "p_adjusted", "p_permutation")
WORDED_COLUMNS = ("within", "group_a", "group_b", "subject", "note")  # text that contains rates
COUNT_COLUMNS = ("df", "df1", "df2")  # fractional in some tests


def level_text(level: object) -> str:
    """Level of a factor in short notation: 1e-5, not 1e-05 or 0.00001."""
    if isinstance(level, float):
        return short_exponents(repr(float(level)).removesuffix(".0"))
    return "" if level is None or level is pd.NA else str(level)


def short_exponents(text: str) -> str:
    """Shorten exponents in a text: 1e-05 becomes 1e-5."""
    exponent = r"\b(\d[\d.]*)e([+-])0*(\d+)\b"
    return re.sub(exponent, lambda found: f"{found[1]}e{found[2].strip('+')}{found[3]}", text)


def p_text(p: float) -> str:
    """Write `p = 0.41`, `p = 0.003`, `p < 0.001`, or `p undefined` for NaN."""
    if math.isnan(p):
        return "p undefined"
    digits = p_digits(p)
    return f"p {digits}" if digits[0] in "<>" else f"p = {digits}"


def p_digits(p: float) -> str:
    """Write a p-value without the letter: `0.41`, `0.003`, `< 0.001`."""
    if p < 0.001:
        return "< 0.001"
    if p > 0.99:
        return "> 0.99"
    return f"{p:.2f}" if p >= 0.095 else f"{p:.3f}"


def number_text(value: float, digits: int = 3) -> str:
    """Write a number with the given significant digits, and an exponent only if needed."""
    if math.isnan(value):
        return "undefined"
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    if 1e-4 <= abs(value) < 1e6:
        places = digits - 1 - math.floor(math.log10(abs(value)))
        return f"{value:.{max(0, places)}f}"
    return short_exponents(f"{value:.{digits - 1}e}")


def listing(parts: Sequence[str]) -> str:
    """Write `a`, `a and b`, or `a, b and c`."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), *parts[-1:]])


def counted(number: int, noun: str) -> str:
    """Write `1 trial` or `2 trials`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cell_text(column: str, value: object) -> str:
    """Write a table entry: counts as integers, p-values as in papers, other numbers rounded."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return short_exponents(str(value)) if column in WORDED_COLUMNS else str(value)
    if column in COUNT_COLUMNS and value.is_integer():
        return f"{value:.0f}"
    return p_digits(value) if column in P_COLUMNS else number_text(value, 4)
