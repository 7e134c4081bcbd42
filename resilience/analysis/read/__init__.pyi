from .frames import frame_of as frame_of
from .frames import read_frame as read_frame
from .selection import select as select
from .table import read_campaigns as read_campaigns
from .table import read_csv as read_csv
from .table import read_results as read_results
