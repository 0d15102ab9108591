"""The hub tells whether anybody watches, so that events that nobody sees need not be made."""

from sip_proxy.adapters.event_hub import EventHub


def test_it_tells_when_the_first_watcher_comes_and_when_the_last_goes() -> None:
    heard: list[bool] = []
    hub = EventHub(on_watched=heard.append)
    assert heard == [False]
    with hub.subscribe():
        assert heard[-1]
        with hub.subscribe():
            assert heard[-1]
        assert heard[-1]
    assert not heard[-1]
