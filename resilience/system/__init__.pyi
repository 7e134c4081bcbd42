from .atomic import replacing as replacing
from .cache import cache_directory as cache_directory
from .cache import made_once as made_once
from .console import Console as Console
from .errors import UserError as UserError
from .hashing import digest as digest
from .hashing import identity_digest as identity_digest
from .signals import Interrupted as Interrupted
