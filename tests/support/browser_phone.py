"""A phone in a browser: JsSIP, a SIP library of another make, in headless chromium, over WebSocket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.support.browser import ARGUMENTS, CHROMIUM
from tests.support.system import ROOT, eventually

_JSSIP = ROOT / "tests/data/vendor/jssip-3.13.8.min.js"
_PHONE = Path(__file__).with_suffix(".js")
TIMEOUT_S = 15.0


class BrowserPhone:
    """One page with one account."""

    def __init__(self, page: Page, sound: socket.socket) -> None:
        self._page = page
        self._sound = sound
        self._seen = 0

    def start(self, *, number: str, password: str, server: tuple[str, int], domain: str) -> None:
        """Connect and register."""
        self._page.add_script_tag(path=_JSSIP)
        self._page.add_script_tag(path=_PHONE)
        self._page.evaluate(
            "settings => startPhone(settings)",
            {
                "url": f"ws://{server[0]}:{server[1]}",
                "domain": domain,
                "number": number,
                "password": password,
                "soundPort": self._sound.getsockname()[1],
            },
        )

    def wait_for(self, name: str) -> str:
        """Wait for the next event of a name; return what it said. Earlier ones are passed over."""

        def find() -> list[str]:
            events = self._page.evaluate("phone.events")
            for position in range(self._seen, len(events)):
                if events[position][0] == name:
                    self._seen = position + 1
                    return [events[position][1]]
            return []

        try:
            (detail,) = eventually(find, name, TIMEOUT_S)
        except AssertionError:
            raise AssertionError(f"no {name!r} among {self._page.evaluate('phone.events')}") from None
        return detail

    def dial(self, target: str) -> None:
        self._page.evaluate("target => dial(target)", target)

    def answer(self) -> None:
        self._page.evaluate("answer()")

    def hang_up(self) -> None:
        self._page.evaluate("phone.session.terminate()")

    def send_message(self, target: str, text: str) -> None:
        self._page.evaluate("([target, text]) => { phone.agent.sendMessage(target, text) }", [target, text])

    def unregister(self) -> None:
        self._page.evaluate("phone.agent.unregister()")

    def hear(self) -> bytes:
        """Wait until the other phone's sound arrives; return one packet (RTP)."""
        packet, _ = self._sound.recvfrom(2048)
        return packet


@contextmanager
def browser_phone(
    *, number: str, password: str, server: tuple[str, int], domain: str = "tollbell.local"
) -> Iterator[BrowserPhone]:
    """A phone in a browser for the length of a test; the tab is closed at the end, without a farewell."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sound,
        sync_playwright() as playwright,
    ):
        sound.bind(("127.0.0.1", 0))
        sound.settimeout(TIMEOUT_S)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=60_000)
        try:
            one = BrowserPhone(browser.new_page(), sound)
            one.start(number=number, password=password, server=server, domain=domain)
            yield one
        finally:
            browser.close()
