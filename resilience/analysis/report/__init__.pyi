from .assemble import compose as compose
from .assemble import write_report as write_report
from .findings import Findings as Findings
from .findings import find as find
from .findings import what_was_analysed as what_was_analysed
from .html import to_html as to_html
from .markdown import to_markdown as to_markdown
