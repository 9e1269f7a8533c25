"""How many people are to judge each comparison of a project."""

from annotate.comparisons import apply_overlap
from projects.models import Project


def ask_people(project: Project, overlap: int, percent: int = 100) -> None:
    """As an admin does on the settings page."""
    project.overlap, project.overlap_percent = overlap, percent
    project.save(update_fields=["overlap", "overlap_percent"])
    apply_overlap(project)
