from .cost import Measurement as Measurement
from .cost import measure_apart as measure_apart
from .plan import Plan as Plan
from .text import plan_text as plan_text
