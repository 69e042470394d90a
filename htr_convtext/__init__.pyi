from .errors import InputError as InputError
from .loading import load_model as load_model
from .reading import Character as Character
from .reading import LineReading as LineReading
from .recognizer import Recognizer as Recognizer
from .recognizer import load_recognizer as load_recognizer
from .voting import VotingRecognizer as VotingRecognizer
