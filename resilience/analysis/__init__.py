"""From the results of a campaign to tables, statistical tests, figures and a report.

Importing this package is cheap; pandas, scipy and matplotlib are imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
