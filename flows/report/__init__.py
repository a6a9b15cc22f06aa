"""Static pages of what is in a work folder: of the folder, of a run, of two runs side by side, of a sweep. No
stage runs here."""

from turnaround.flows.report.compare import write_comparison
from turnaround.flows.report.run import write
from turnaround.flows.report.sweep import write_sweep, write_sweep_of_runs
from turnaround.flows.report.work import write_work_page

__all__ = ["write", "write_comparison", "write_sweep", "write_sweep_of_runs", "write_work_page"]
