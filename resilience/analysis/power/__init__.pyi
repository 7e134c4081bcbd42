from .checks import assumptions as assumptions
from .foresight import EffectForesight as EffectForesight
from .foresight import SpreadForesight as SpreadForesight
from .foresight import Wish as Wish
from .foresight import foresee_effects as foresee_effects
from .foresight import foresee_spread as foresee_spread
from .statistical_injection import sample_size as sample_size
