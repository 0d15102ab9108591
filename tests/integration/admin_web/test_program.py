"""`python -m admin_web` as a program: starting, stopping, and saying what is wrong."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.environment import clean_environment
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def program(var: Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = clean_environment()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "admin_web",
        cwd=ROOT,
        env=clean | {"TOLLBELL_VAR": str(var)} | environ,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def wait_until_ready(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while line := (await process.stderr.readline()).decode():
            if "console_ready" in line:
                return line
    raise AssertionError("the program ended before it was ready")


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_it_starts_without_the_others_and_stops_when_told(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    port = free_port()
    nobody = f"127.0.0.1:{free_port()}"
    async with program(
        tmp_path,
        TOLLBELL_ADMIN_HTTP=f"127.0.0.1:{port}",
        TOLLBELL_BILLING_HTTP=nobody,
        TOLLBELL_CONTROL_HTTP=nobody,
        TOLLBELL_LOG="json",
    ) as process:
        assert f"http://127.0.0.1:{port}/" in await wait_until_ready(process)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/health") as answer:
                assert await answer.json() == {"status": "ok", "exchange": "away"}
            async with client.get(f"http://127.0.0.1:{port}/") as answer:
                assert answer.url.path == "/login"
        process.send_signal(signal_number)
        _, error = await asyncio.wait_for(process.communicate(), 10)
        assert process.returncode == 0
        assert b"Traceback" not in error


async def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with program(tmp_path, TOLLBELL_ADMIN_HTTP=address) as process:
            _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    lines = [line for line in error.decode().splitlines() if "exchange_lost" not in line]
    assert lines == [
        f"admin_web: the port is taken: another program listens on {address} (TOLLBELL_ADMIN_HTTP)"
    ]


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("TOLLBELL_ADMIN_HTTP", "somewhere", "write it as host:port, for example 127.0.0.1:8080"),
        ("TOLLBELL_LOG", "xml", "choose console or json"),
    ],
)
async def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path, name: str, value: str, hint: str) -> None:
    async with program(tmp_path, **{name: value}) as process:
        _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert error.decode().splitlines() == [f"admin_web: {name} is '{value}': {hint}"]
