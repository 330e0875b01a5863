"""Where requests may go: addresses and their kinds, URLs without double meaning, rules, bounds."""

from xworkflow.runtime_group.egress.addresses import Address
from xworkflow.runtime_group.egress.network_policy import (
    EgressPolicy,
    MetadataBlocked,
    NetworkGuard,
)
from xworkflow.runtime_group.egress.refusal import EgressRefused

__all__ = ["Address", "EgressPolicy", "EgressRefused", "MetadataBlocked", "NetworkGuard"]
