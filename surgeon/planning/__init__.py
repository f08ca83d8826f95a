"""Plans: what a list of rules will do to one architecture, as a value, and how it is carried out."""

from surgeon.planning import computations as computations
from surgeon.planning.adjusting import adjust, train_parts
from surgeon.planning.applying import apply, check_plan
from surgeon.planning.checking import check_rules
from surgeon.planning.cutting import extract, join, split
from surgeon.planning.finding import find
from surgeon.planning.making import make_plan
from surgeon.planning.outlook import is_known_again, outlook
from surgeon.planning.picture import diagram
from surgeon.planning.plan import Plan
from surgeon.planning.plan_json import plan_from_json
from surgeon.planning.replay import edited_paths
from surgeon.planning.rewriting import rewrite
from surgeon.planning.splitting import split_compute

__all__ = [
    "Plan",
    "adjust",
    "apply",
    "check_plan",
    "check_rules",
    "diagram",
    "edited_paths",
    "extract",
    "find",
    "is_known_again",
    "join",
    "make_plan",
    "outlook",
    "plan_from_json",
    "rewrite",
    "split",
    "split_compute",
    "train_parts",
]
