"""What users of Drakewell import."""

from drakewell.client import Client
from drakewell.core import Sent
from drakewell.deployment import Deployment
from drakewell.errors import DrakewellError
from drakewell.http import Http
from drakewell.plans import Limits
from drakewell.terms import Terms

__all__ = ["Client", "Deployment", "DrakewellError", "Http", "Limits", "Sent", "Terms"]
