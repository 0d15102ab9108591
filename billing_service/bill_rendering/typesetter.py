"""Sets bills as PDF, in a process of its own: reads JSON, writes each PDF after its length in 8 bytes.

typst keeps what it has set in memory for the next time, about 400 MB for a bill with 5,000 calls, and has no
way to let go of it. A process that ends does.
"""

import json
import sys
from pathlib import Path

import typst

TEMPLATE = Path(__file__).parent / "templates" / "bill.typ"


def main() -> None:
    """Set what the standard input asks for: a list of `{"bills": […], "made_at": seconds, "tags": bool}`."""
    compiler = typst.Compiler(str(TEMPLATE), root=str(TEMPLATE.parent))
    for document in json.load(sys.stdin.buffer):
        pdf = compiler.compile(
            format="pdf",
            sys_inputs={"bills": json.dumps(document["bills"])},
            timestamp=document["made_at"],
            pdf_tags=document["tags"],
        )
        assert isinstance(pdf, bytes), "a PDF is one file"
        sys.stdout.buffer.write(len(pdf).to_bytes(8, "big") + pdf)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
