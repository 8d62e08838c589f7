"""How good an estimate is: against truth where there is some, against the events where not."""

from eventhpe.evaluation.pose import PoseErrors, mean_pose, pose_errors, pose_table
from eventhpe.evaluation.silhouette import SilhouetteAgreement, silhouette_agreement

__all__ = [
    "PoseErrors",
    "SilhouetteAgreement",
    "mean_pose",
    "pose_errors",
    "pose_table",
    "silhouette_agreement",
]
