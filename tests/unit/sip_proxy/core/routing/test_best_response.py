"""Which final response goes to the caller (RFC 3261 §16.7 step 6)."""

import pytest

from sip_proxy.core.routing.best_response import FinalResponse, choose_best


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ([486], 486),
        ([486, 603], 603),
        ([404, 500], 404),
        ([302, 404], 302),
        ([500, 404, 302, 600], 600),
        ([486, 401], 401),
        ([407, 404], 407),
        ([404, 484], 484),
        ([408, 486], 486),
        ([487, 486], 486),
        ([408, 480], 480),
        ([503, 500], 500),
        ([503, 504], 504),
        ([486, 404], 486),
    ],
)
def test_the_best_of_several_final_responses(statuses: list[int], best: int) -> None:
    finals = [FinalResponse(status, "", None) for status in statuses]
    assert choose_best(finals).status == best
