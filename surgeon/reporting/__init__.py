"""What surgery did, as one HTML page that needs nothing else."""

from surgeon.reporting.making import Report, report

__all__ = ["Report", "report"]
