"""The exchange as a program: settings in, exit code out."""

import os
import sys

import uvloop

from sip_proxy.log import configure_logging
from sip_proxy.server import serve
from sip_proxy.settings import SettingsError, read_log_format, read_settings
from sip_proxy.sockets import UnableToStart


def main() -> int:
    """Run until a signal says stop; return the exit code: 2 for a setting, 1 for anything else."""
    try:
        configure_logging(read_log_format(os.environ))
        return uvloop.run(serve(read_settings(os.environ)))
    except SettingsError as error:
        print(f"sip_proxy: {error}", file=sys.stderr)
        return 2
    except UnableToStart as error:
        print(f"sip_proxy: {error}", file=sys.stderr)
        return 1
