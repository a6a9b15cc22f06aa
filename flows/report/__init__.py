"""Static pages of what is in a work folder: of the folder, of a run, of two runs side by side, of a sweep. No stage runs here."""

from flows.report.run import write
from flows.report.work import write_work_page

__all__ = ["write", "write_work_page"]
