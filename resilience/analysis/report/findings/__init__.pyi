from .overview import Findings as Findings
from .overview import find as find
from .overview import what_was_analysed as what_was_analysed
