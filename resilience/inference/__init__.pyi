from .engine import Engine as Engine
from .golden_prefix import GoldenPrefix as GoldenPrefix
from .predict import finite as finite
