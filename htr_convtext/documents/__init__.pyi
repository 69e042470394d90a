from .geometry import LineCut as LineCut
from .geometry import cut_line as cut_line
from .page import Page as Page
from .page import PageLine as PageLine
from .page import Region as Region
from .page import Word as Word
from .page_images import PageImages as PageImages
from .xml_reader import read_page as read_page
