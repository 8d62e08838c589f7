"""The report: one page that shows a motion and opens without a network."""

from eventhpe.rendering.report.page import write_report

__all__ = ["write_report"]
