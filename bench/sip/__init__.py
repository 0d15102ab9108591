"""What a call and a registration cost, next to Kamailio doing the same work on the same machine.

Like the exchange itself, its instruments run machine code where `make compiled` has made some of these
sources, unless `TOLLBELL_COMPILED` says `no`.
"""

import os

from sip_proxy.compiled import is_in_use, use_compiled

if os.environ.get("TOLLBELL_COMPILED") != "no" and not is_in_use():
    use_compiled()

FORM = "compiled" if is_in_use() else "interpreted"
"""What the instruments measure."""
