"""Putting a folder in the place of another so that nobody ever finds half of one."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory


def put_in_place(made: Path, place: Path) -> None:
    """Move a folder to its place, where another may be: whoever looks finds one of them whole, or none.

    Copying takes a while when they are on two file systems, so the new one is first put beside its place:
    from there, renaming is all that is needed.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=f"{place.name}.") as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        shutil.move(made, new)
        if place.exists():
            place.rename(old)
        new.rename(place)
