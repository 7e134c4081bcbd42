from .models import Classifier as Classifier
from .models import load_classifier as load_classifier
from .models import torchvision_network as torchvision_network
from .spec import Model as Model
from .spec import Recipe as Recipe
from .training import fit as fit
