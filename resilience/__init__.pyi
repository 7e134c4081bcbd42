from . import perturbations as perturbations
from . import sites as sites
from .analysis.pipeline import analyse as analyse
from .faults.draw import Draw as Draw
from .faults.fault_file import read_faults as read_faults
from .faults.fault_plan import draw_faults as draw_faults
from .faults.injection import injected as injected
from .faults.population.tracing import find_layers as find_layers
from .results.record import Result as Result
from .results.record import find_results as find_results
from .results.record import read_result as read_result
from .system.errors import UserError as UserError
from .trials.experiment import Cell as Cell
from .trials.experiment import evaluate as evaluate
from .trials.experiment import run as run

__version__: str
