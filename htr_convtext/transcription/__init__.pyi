from .pages import transcribe as transcribe
from .pages import transcribe_image as transcribe_image
from .segmentation import Segmenter as Segmenter
from .segmentation import TextDetector as TextDetector
