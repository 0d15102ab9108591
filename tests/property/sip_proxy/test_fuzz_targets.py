"""The targets of `make fuzz` hold for everything that fuzzing starts from."""

import pytest

from fuzz import engine_target, message_target
from fuzz.__main__ import TARGETS, _seeds
from tests.support import sip_phones

MODULES = {"message": message_target, "engine": engine_target}


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_passes(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_phones, "_serial", sip_phones._serial)  # put it back afterwards
    module = MODULES[target]
    seeds = _seeds(target, module)
    assert len(seeds) >= 60
    for seed in seeds:
        module.test_one_input(seed)
