from .build import build_trial as build_trial
from .overrides import compose_trial as compose_trial
from .overrides import trial_overrides as trial_overrides
from .user_errors import ending_in_one_line as ending_in_one_line
from .user_errors import one_line as one_line
