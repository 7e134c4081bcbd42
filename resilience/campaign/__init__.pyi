from .lifecycle import Run as Run
from .progress import Tally as Tally
from .resume import MixedCampaignError as MixedCampaignError
from .session import Session as Session
