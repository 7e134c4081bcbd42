from .appearance import Plate as Plate
from .draw import VULNERABILITY as VULNERABILITY
from .draw import draw_figures as draw_figures
