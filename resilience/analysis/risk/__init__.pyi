from .proportions import bootstrap_interval as bootstrap_interval
from .proportions import wilson_interval as wilson_interval
from .ranking import SUBJECT as SUBJECT
from .ranking import subjects as subjects
from .ranking import vulnerability as vulnerability
