from .comparison import Difference as Difference
from .failed_trials import Failure as Failure
from .failed_trials import find_failures as find_failures
from .record import DamagedResultError as DamagedResultError
from .record import Result as Result
from .record import find_results as find_results
from .record import read_result as read_result
from .record import write_result as write_result
