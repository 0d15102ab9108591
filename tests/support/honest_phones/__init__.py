"""Phones that play their part honestly: they retransmit, acknowledge and give up as RFC 3261 says.

They write down what they saw, so that a test can compare it with what the exchange recorded.
"""

from tests.support.honest_phones.attempt import Attempt, CallPlan, Hangup
from tests.support.honest_phones.crowd import Crowd, crowd, impatient_plan

__all__ = ["Attempt", "CallPlan", "Crowd", "Hangup", "crowd", "impatient_plan"]
