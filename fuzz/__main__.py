"""`python -m fuzz [--seconds 60] [--target message|engine] [FILE …]`

Runs each target for its share of the time in a process of its own. A finding is kept in `var/fuzz` and the
exit status is 1; give its file to run it again.
"""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

TARGETS = ("message", "engine")
FINDINGS = Path("var/fuzz")
TORTURE = Path("tests/data/torture")


def main() -> int:
    """Fuzz, or run one target in this process (`--here`)."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the SIP core with atheris.")
    parser.add_argument("--seconds", type=int, default=60, help="how long, for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", type=Path, help="run these inputs only")
    arguments = parser.parse_args()
    targets = [arguments.target] if arguments.target else list(TARGETS)
    if arguments.here:
        _fuzz_here(targets[0], arguments.seconds, arguments.files)
    for target in targets:
        seconds = max(1, arguments.seconds // len(targets))
        command = [sys.executable, "-m", "fuzz", "--here", "--target", target, "--seconds", str(seconds)]
        status = subprocess.run([*command, *map(str, arguments.files)], check=False).returncode
        if status:
            print(f"fuzz: {target}: FAILED (inputs are kept in {FINDINGS})")
            return 1
        print(f"fuzz: {target}: nothing found in {seconds} s")
    return 0


def _fuzz_here(target: str, seconds: int, files: list[Path]) -> None:
    """Run one target until the time is over; libFuzzer ends the process."""
    import atheris  # not needed, and not installed, unless one fuzzes

    with atheris.instrument_imports(include=["sip_proxy.core"]):
        module = importlib.import_module(f"fuzz.{target}_target")
    corpus = FINDINGS / target
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(_seeds(target, module)):
        (corpus / f"seed-{index:03}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384",
               "-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={FINDINGS}/{target}-"]  # fmt: skip
    atheris.Setup(
        [sys.argv[0], *options, *(map(str, files) if files else [str(corpus)])], module.test_one_input
    )
    atheris.Fuzz()


def _seeds(target: str, module: object) -> list[bytes]:
    messages = [path.read_bytes() for path in sorted(TORTURE.glob("*/*.sip"))]
    if target == "engine":
        own: list[bytes] = module.seeds()  # type: ignore[attr-defined]
        return own + [bytes([sender]) + message for sender in (2, 3) for message in messages]
    return messages


if __name__ == "__main__":
    sys.exit(main())
