"""Joins PDF files, in a process of its own: pypdf keeps all objects of all pages in memory until it ends."""

import json
import sys

from pypdf import PdfWriter


def main() -> None:
    """Do what the standard input asks for: `{"title", "parts": [files], "whole": file}`."""
    wish = json.load(sys.stdin.buffer)
    writer = PdfWriter()
    for part in wish["parts"]:
        writer.append(part, import_outline=False)
    writer.add_metadata({"/Title": wish["title"]})
    writer.write(wish["whole"])


if __name__ == "__main__":
    main()
