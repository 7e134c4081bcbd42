"""Where the trials of a sweep run: local processes, SLURM jobs or Ray tasks."""

from resilience.campaign.launchers.chunks import Chunk, Job, chunked
from resilience.campaign.launchers.cluster import Cluster
from resilience.campaign.launchers.local import Local
from resilience.campaign.launchers.ray import Ray
from resilience.campaign.launchers.slurm import Slurm
from resilience.campaign.launchers.work import Work

__all__ = ["Chunk", "Cluster", "Job", "Local", "Ray", "Slurm", "Work", "chunked"]
