"""Stage report: what became of every record, and one page that shows the run.

`accounting` counts and `notices` warns; the modules named after stages make the sections out of `blocks`
and `figures`, and `page` puts them into ``page.html.jinja``.
"""

from __future__ import annotations

from helixflow.report.accounting import StageFiles, write_accounting
from helixflow.report.page import write_report

__all__ = ["StageFiles", "write_accounting", "write_report"]
