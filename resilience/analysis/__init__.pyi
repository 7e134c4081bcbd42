from .pipeline import ReportableAnalysis as ReportableAnalysis
from .pipeline import Written as Written
from .pipeline import analyse as analyse
from .pipeline import analyse_campaign as analyse_campaign
from .pipeline import write_tables as write_tables
