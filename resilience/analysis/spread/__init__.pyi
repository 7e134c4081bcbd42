from .equal_variances import variances as variances
from .families import cell_residuals as cell_residuals
from .intervals import sd_intervals as sd_intervals
